import { AuthenticationError, UnavailableError } from '@portcullis/core'
import { describe, expect, it } from 'vitest'
import { diagnosis, errorsWithin } from './index.ts'

type Code = 'ERR_X_DOWN' | 'ERR_X_REFUSED' | 'ERR_X_NAME' | 'ERR_X_TLS' | 'ERR_X_WRONG'
const sentences = { ERR_X_DOWN: 'Down.', ERR_X_REFUSED: 'Refused.', ERR_X_NAME: 'Name.', ERR_X_TLS: 'TLS.', ERR_X_WRONG: 'Wrong.' }
const { diagnose, codedAs } = diagnosis<Code>({
  sentences,
  families: {
    ERR_X_DOWN: 'unavailable',
    ERR_X_REFUSED: 'authorization',
    ERR_X_NAME: 'authentication',
    ERR_X_TLS: 'unavailable',
    ERR_X_WRONG: 'configuration',
  },
  tls: { hostName: 'ERR_X_NAME', serverUntrusted: 'ERR_X_TLS', certificateRefused: 'ERR_X_TLS', mismatch: 'ERR_X_TLS' },
  meaningOf: ({ message }) => (message === 'no' ? 'ERR_X_REFUSED' : undefined),
  otherwise: 'ERR_X_DOWN',
})
const coded = (code: string, cause?: unknown): Error => Object.assign(new Error('x', { cause }), { code })

describe('diagnosis', () => {
  it('tells by the outermost error that says anything, and keeps what it was made of', () => {
    const wrapped = new Error('layer', { cause: new Error('no', { cause: coded('ERR_TLS_CERT_ALTNAME_INVALID') }) })
    expect(diagnose(wrapped)).toMatchObject({ code: 'ERR_X_REFUSED', family: 'authorization', message: 'Refused.', cause: wrapped })
    expect(diagnose(new AggregateError([new Error('a'), new Error('no')]))).toMatchObject({ code: 'ERR_X_REFUSED' })
    expect(diagnose('no')).toMatchObject({ code: 'ERR_X_REFUSED' })
    expect(diagnose(Object.assign(new Error('old'), { chainedError: 'no' }))).toMatchObject({ code: 'ERR_X_REFUSED' })
    expect(codedAs('ERR_X_WRONG')).toMatchObject({ family: 'configuration', message: 'Wrong.' })
  })

  it('tells what TLS found by the code of the adapter', () => {
    expect(diagnose(coded('ERR_TLS_CERT_ALTNAME_INVALID'))).toMatchObject({ code: 'ERR_X_NAME', family: 'authentication' })
    expect(diagnose(new Error('x', { cause: new AuthenticationError('ERR_TLS_HOST_NAME', 'another') }))).toMatchObject({
      code: 'ERR_X_NAME',
    })
  })

  it('returns an error of Portcullis within as it is, and a refusal rather than the outage after it', () => {
    const down = new UnavailableError('ERR_SOURCE', 'down')
    const refused = new AuthenticationError('ERR_NO', 'no')
    expect(diagnose(new Error('no', { cause: down }))).toBe(down)
    expect(diagnose(new AggregateError([down, refused]))).toBe(refused)
  })

  it.each([undefined, null, '', 7, {}, new Error('x')])('knows nothing of %s, which is an outage', (error) => {
    expect(diagnose(error)).toMatchObject({ code: 'ERR_X_DOWN', family: 'unavailable' })
  })

  it('ends with errors that hold themselves, and with very many', () => {
    const loop: { cause?: unknown; errors?: unknown[] } = {}
    loop.cause = loop
    loop.errors = [loop, loop]
    expect(errorsWithin(loop).length).toBeLessThanOrEqual(100)
    const deep = Array.from({ length: 50 }).reduce<Error | undefined>((cause) => new Error('x', { cause }), undefined)
    expect(errorsWithin(deep).length).toBeLessThan(10)
  })
})
