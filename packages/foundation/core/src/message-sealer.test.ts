import { expect, it } from 'vitest'
import { bearer, principal } from './fixtures.test-support.ts'
import {
  ConfigurationError,
  messageBinding,
  messageSealer,
  type BoundSource,
  type MessageSealerOptions,
  type RequestBinding,
} from './index.ts'

const target = { origin: 'kafka://broker:9094', secure: true, shared: true }
const signed: RequestBinding[] = []
const sign: BoundSource = ({ binding }) => {
  signed.push(binding)
  return { credential: { kind: 'envelope', carrier: 'message', envelope: 'a.b.c' } }
}
const seal = (options: Partial<MessageSealerOptions> = {}) =>
  messageSealer({
    where: 'producer',
    target,
    sign,
    caller: undefined,
    withoutForm: (message) => new ConfigurationError('ERR_TEST', message),
    ...options,
  })
const bindingOf = (headers: readonly (readonly [string, string])[]) => messageBinding({ address: 'a', payload: Buffer.from('x'), headers })

it('a message says who sent it and for whom, and the first is signed with the second', async () => {
  signed.length = 0
  const caller = () => ({ credential: bearer('for alice') })
  expect(await seal({ caller })(principal(), bindingOf)).toEqual([
    ['portcullis-caller', 'for alice'],
    ['portcullis-identity', 'a.b.c'],
  ])
  expect(signed.map(({ message }) => message?.caller)).toEqual(['for alice'])
  expect(await seal()(undefined, bindingOf)).toEqual([['portcullis-identity', 'a.b.c']])
  expect(signed.map(({ message }) => message?.caller)).toEqual(['for alice', undefined])
})

it('one that is let go unsigned says nothing, and is bound to nothing', async () => {
  const unsigned = seal({ sign: undefined })
  expect(await unsigned(undefined, () => expect.unreachable())).toEqual([])
})

it('is not sent for somebody without a token of theirs, nor with a credential that has no form', async () => {
  await expect(seal()(principal(), bindingOf)).rejects.toMatchObject({ code: 'ERR_CALLER_MISSING' })
  const odd: BoundSource = () => ({ credential: { kind: 'malformed', carrier: 'x', why: 'x' } })
  await expect(seal({ sign: odd })(undefined, bindingOf)).rejects.toMatchObject({ code: 'ERR_TEST' })
})
