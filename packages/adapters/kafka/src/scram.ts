import { AuthenticationError, type Secret } from '@portcullis/core'
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { KafkaErrorCode } from './errors.ts'

/** Sends one SASL message and resolves with the broker's answer. */
export type Exchange = (message: Buffer) => Promise<Buffer>

const derive = promisify(pbkdf2)
// RFC 7677 section 4 asks for this many at least. Fewer would let whoever answers in the broker's place get at the password faster.
const minIterations = 4_096
// A minute of a processor, if somebody asks for it; Kafka's own tools make 4,096 and at most 16,384.
const maxIterations = 1_000_000

/**
 * Proves knowledge of a password without sending it, and demands the same of the broker (RFC 5802 section 3, RFC 7677).
 * Channel binding is not offered, since Kafka has none. Rejects with `ERR_KAFKA_BROKER_UNPROVEN`; the exchange itself rejects
 * when the broker refuses.
 */
export async function scram(
  hash: 'sha256' | 'sha512',
  username: string,
  password: Secret,
  exchange: Exchange,
  nonce: string = randomBytes(24).toString('base64url'),
): Promise<void> {
  const name = username.replaceAll('=', '=3D').replaceAll(',', '=2C')
  const clientFirst = `n=${name},r=${nonce}`
  const serverFirst = String(await exchange(Buffer.from(`n,,${clientFirst}`)))
  const { r: joint = '', s: salt = '', i: count = '' } = attributes(serverFirst)
  const iterations = /^[1-9]\d{0,8}$/.test(count) ? Number(count) : 0
  if (!joint.startsWith(nonce) || joint.length === nonce.length) throw unproven('its nonce does not continue ours')
  if (salt === '' || iterations < minIterations || iterations > maxIterations)
    throw unproven('its salt or number of iterations is not acceptable')

  const salted = await derive(password.reveal(), Buffer.from(salt, 'base64'), iterations, hash === 'sha256' ? 32 : 64, hash)
  const hmac = (key: Buffer, text: string | Buffer): Buffer => createHmac(hash, key).update(text).digest()
  const clientKey = hmac(salted, 'Client Key')
  const storedKey = createHash(hash).update(clientKey).digest()
  const withoutProof = `c=biws,r=${joint}`
  const everything = `${clientFirst},${serverFirst},${withoutProof}`
  const signature = hmac(storedKey, everything)
  const proof = Buffer.from(clientKey.map((byte, at) => byte ^ (signature[at] ?? 0)))
  const serverFinal = String(await exchange(Buffer.from(`${withoutProof},p=${proof.toString('base64')}`)))

  const claimed = Buffer.from(attributes(serverFinal).v ?? '', 'base64')
  const expected = hmac(hmac(salted, 'Server Key'), everything)
  if (claimed.length !== expected.length || !timingSafeEqual(claimed, expected))
    throw unproven('its signature is not the one of this password')
}

function attributes(message: string): Partial<Record<string, string>> {
  const found = Object.create(null) as Partial<Record<string, string>>
  for (const part of message.split(',')) if (part[1] === '=') found[part[0] ?? ''] ??= part.slice(2)
  return found
}

function unproven(why: string): AuthenticationError {
  return new AuthenticationError<KafkaErrorCode>('ERR_KAFKA_BROKER_UNPROVEN', `SCRAM: the broker is not believed, for ${why}.`)
}
