import { describe, expect, it } from 'vitest'
import { otherCredential, secret, UnavailableError, type Credential, type Supplied } from './index.ts'

const token = (text: string): Credential => ({ kind: 'bearer', carrier: 'authorization', token: secret(text) })

describe('otherCredential', () => {
  it('tells which one was refused and gives the other', async () => {
    const asked: unknown[] = []
    const ask = (request: { readonly refused?: Credential }): Supplied => {
      asked.push(request)
      return { credential: token('b') }
    }
    const refused = token('a')
    expect(await otherCredential(ask, refused)).toEqual({ credential: token('b') })
    expect(await otherCredential(ask, undefined)).toEqual({ credential: token('b') })
    expect(asked).toEqual([{ refused }, {}])
  })

  it('is nothing where the source yields the same again', async () => {
    expect(await otherCredential(() => Promise.resolve({ credential: token('a') }), token('a'))).toBeUndefined()
  })

  it('is nothing where the source says that there is none', async () => {
    const exhausted = (): never => {
      throw new UnavailableError('ERR_SOURCE_EXHAUSTED', 'none')
    }
    expect(await otherCredential(exhausted, token('a'))).toBeUndefined()
    expect(await otherCredential(exhausted, undefined)).toBeUndefined()
  })

  it('is an error of the caller that tells why, if it makes one', async () => {
    const exhausted = new UnavailableError('ERR_SOURCE_EXHAUSTED', 'none')
    const none = (cause: unknown): Error => new Error('no other', { cause })
    await expect(otherCredential(() => Promise.reject(exhausted), token('a'), none)).rejects.toMatchObject({
      message: 'no other',
      cause: exhausted,
    })
    await expect(otherCredential(() => ({ credential: token('a') }), token('a'), none)).rejects.toThrow('no other')
    expect(await otherCredential(() => ({ credential: token('b') }), token('a'), none)).toEqual({ credential: token('b') })
  })

  it('leaves an outage of the source an outage', async () => {
    const down = new UnavailableError('ERR_SOURCE_DOWN', 'down')
    await expect(
      otherCredential(
        () => Promise.reject(down),
        token('a'),
        () => new Error('no other'),
      ),
    ).rejects.toBe(down)
  })
})
