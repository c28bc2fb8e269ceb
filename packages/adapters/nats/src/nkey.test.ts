import { secret, type Credential } from '@portcullis/core'
import { createAccount, createUser, fromPublic } from '@nats-io/nkeys'
import { describe, expect, it } from 'vitest'
import { proveNkey } from './nkey.ts'
import { present } from './present.ts'

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

  it('is a seed of a user, whatever else has a sound checksum', () => {
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
    const encoded = (bytes: readonly number[]): string => {
      const bits = bytes.map((byte) => byte.toString(2).padStart(8, '0')).join('')
      return (bits.match(/.{1,5}/g) ?? []).map((five) => letters[Number.parseInt(five.padEnd(5, '0'), 2)]).join('')
    }
    const sealed = (bytes: readonly number[]): string => {
      let crc = 0
      for (const byte of bytes)
        for (let bit = 7; bit >= 0; bit--) crc = ((crc << 1) ^ ((crc >> 15) ^ ((byte >> bit) & 1) ? 0x1021 : 0)) & 0xffff
      return encoded([...bytes, crc & 0xff, crc >> 8])
    }
    const [seedOfUser, keyOfUser, seedOfAccount] = [
      [(18 << 3) | (20 >> 2), (20 << 6) & 0xff],
      [(15 << 3) | (20 >> 2), (20 << 6) & 0xff],
      [18 << 3, 0],
    ].map((prefix) => sealed([...prefix, ...Buffer.alloc(32, 7)])) as [string, string, string]
    expect([seedOfUser.slice(0, 2), keyOfUser[0], seedOfAccount.slice(0, 2)]).toEqual(['SU', 'P', 'SA'])
    expect(proveNkey(seedOfUser, 'nonce').nkey).toMatch(/^U/)
    for (const other of [keyOfUser, seedOfAccount])
      expect(() => proveNkey(other, 'nonce')).toThrow(expect.objectContaining({ code: 'ERR_NATS_CREDENTIAL' }))
  })

  it('proves nothing to a server that asks nothing', () => {
    const seed = secret(text(createUser().getSeed()))
    const credential: Credential = { kind: 'nkey', carrier: 'connect', seed }
    expect(present(credential, 'nonce')).toHaveProperty('sig')
    expect(() => present(credential, undefined)).toThrow(expect.objectContaining({ code: 'ERR_NATS_CREDENTIAL' }))
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
