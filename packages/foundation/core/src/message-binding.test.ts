import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { messageBinding } from './index.ts'

describe('messageBinding', () => {
  it('states what the adapter knows, and nothing for what it does not', () => {
    const bare = messageBinding({ address: 'kafka:orders', payload: Buffer.from('a') })
    expect(bare).toMatchObject({
      method: 'publish',
      uri: 'kafka:orders',
      contentDigest: createHash('sha256').update('a').digest('base64url'),
    })
    expect(Object.keys(bare.message ?? {})).toEqual(['headers'])
    const known = { id: '1', position: 'orders/0/1', appendedAtMs: 5, redelivered: false }
    expect(messageBinding({ address: 'x', payload: Buffer.alloc(0), ...known }).message).toEqual({ headers: new Map(), ...known })
  })

  it('takes the bytes of a key and no others of the memory that it lies in', () => {
    const memory = Buffer.from('before key after')
    const { message } = messageBinding({
      address: 'x',
      payload: Buffer.alloc(0),
      key: new Uint8Array(memory.buffer, memory.byteOffset + 7, 3),
    })
    expect(message?.key).toBe(Buffer.from('key').toString('base64url'))
    expect(messageBinding({ address: 'x', payload: Buffer.alloc(0), key: new Uint8Array(0) }).message?.key).toBe('')
  })

  it('tells the caller from the headers, and leaves out the identity, in any case of the names', () => {
    const headers = [
      ['Portcullis-Caller', 'token'],
      ['PORTCULLIS-IDENTITY', 'a.b.c'],
      ['Tenant', 'acme'],
    ] as const
    const { message } = messageBinding({ address: 'x', payload: Buffer.alloc(0), headers })
    expect(message).toEqual({ caller: 'token', headers: new Map([['Tenant', 'acme']]) })
  })
})
