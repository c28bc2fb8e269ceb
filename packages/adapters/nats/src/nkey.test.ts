import { createAccount, createUser, fromPublic } from '@nats-io/nkeys'
import { describe, expect, it } from 'vitest'
import { proveNkey } from './nkey.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

describe('an NKey', () => {
  it('signs as the library of NATS expects it', () => {
    for (let turn = 0; turn < 20; turn++) {
      const user = createUser()
      const { nkey, sig } = proveNkey(text(user.getSeed()), 'nonce')
      expect(nkey).toBe(user.getPublicKey())
      expect(fromPublic(nkey).verify(Buffer.from('nonce'), Buffer.from(sig, 'base64url'))).toBe(true)
    }
  })

  it('is refused in words that hold nothing of it', () => {
    const seed = text(createUser().getSeed())
    const changed = seed.slice(0, -1) + (seed.endsWith('A') ? 'B' : 'A')
    for (const wrong of [
      '',
      'SU',
      seed.slice(1),
      `${seed}A`,
      changed,
      seed.toLowerCase(),
      text(createAccount().getSeed()),
      createUser().getPublicKey(),
    ]) {
      const error = (() => {
        try {
          return proveNkey(wrong, 'nonce')
        } catch (thrown) {
          return thrown as Error
        }
      })()
      expect(error).toMatchObject({ code: 'ERR_NATS_CREDENTIAL' })
      if (wrong.length > 2) expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(wrong)
    }
  })
})
