/** What a message's identity costs, for 200 bytes of payload: signing and verifying, in each profile, beside the bare signature. */
import { createPrivateKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto'
import { guard, messageBinding, type AccessRequest, type BoundSource, type Guard, type MessageInit } from '@portcullis/core'
import { messageMemory, messageSigner, signedMessages, type SigningProfile } from '@portcullis/message'
import { inline, measure, withSpread, type Variant } from '../measure.ts'
import type { RunOptions, Table } from '../table.ts'

const target = { origin: 'kafka://broker:9094', secure: true }
const payload = Buffer.alloc(200, 'x')

interface Line {
  readonly name: string
  readonly keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject }
  readonly profile?: SigningProfile
  /** In µs per message, to verify. */
  readonly goal?: number
}

/** Measures signing and verifying, in µs of processor time per message. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const es256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const ed25519 = generateKeyPairSync('ed25519')
  const group = generateKeyPairSync('x25519')
  const lines: readonly Line[] = [
    { name: 'ES256', keys: es256, goal: 60 },
    { name: 'EdDSA', keys: ed25519, goal: 80 },
    { name: 'batch of 64, ES256', keys: es256, profile: { batch: {} }, goal: 6 },
    { name: 'batch of 64, EdDSA', keys: ed25519, profile: { batch: {} }, goal: 6 },
    { name: 'MAC session', keys: es256, profile: { session: { groupKey: group.publicKey } }, goal: 5 },
  ]
  const variants: Variant[] = [...raw('ES256', es256, 'sha256'), ...raw('EdDSA', ed25519, null)]
  for (const line of lines) {
    const signer = messageSigner({
      issuer: 'urn:shop',
      key: { privateKey: createPrivateKey(line.keys.privateKey.export({ format: 'pem', type: 'pkcs8' })) },
      audience: 'warehouse',
      targets: [target.origin],
      ...(line.profile && { profile: line.profile }),
    })
    variants.push({ name: `${line.name}: sign`, batch: async (times) => void (await produce(signer, times)) })
    variants.push(verifying(line, group.privateKey, quick ? 2_048 : 16_384, await produce(signer, quick ? 2_048 : 16_384)))
  }
  const measured = await measure(variants, { rounds: quick ? 5 : 15, roundMs: quick ? 100 : 300 })
  const of = (name: string): string => withSpread(measured.get(name))
  const median = (name: string): number => measured.get(name)?.median ?? Number.NaN
  return {
    title: 'Message identity: 200 bytes, one message',
    note: 'Processor time per message, median of interleaved rounds (± half the distance of the quartiles). Verifying is the whole decision: signature or path or tag, digests, time, replay memory, principal. "bare" is the signature alone, by node:crypto.',
    columns: ['profile', 'sign', 'verify', 'goal', 'bare sign', 'bare verify'],
    rows: lines.map(({ name, goal = Number.NaN, profile }) => [
      name,
      of(`${name}: sign`),
      of(`${name}: verify`),
      `<= ${goal} µs: ${median(`${name}: verify`) <= goal ? 'met' : 'MISSED'}`,
      profile === undefined ? of(`${name}: bare sign`) : '',
      profile === undefined ? of(`${name}: bare verify`) : '',
    ]),
  }
}

function raw(name: string, { privateKey, publicKey }: Line['keys'], digest: 'sha256' | null): Variant[] {
  const signature = sign(digest, payload, privateKey)
  return [
    inline(`${name}: bare sign`, () => sign(digest, payload, privateKey)),
    inline(`${name}: bare verify`, () => verify(digest, payload, publicKey, signature)),
  ]
}

interface Produced {
  readonly message: MessageInit
  /** As it comes from a socket. */
  readonly envelope: Buffer
}

// As many as a producer has at hand at one time.
const atOnce = 256

async function produce(signer: BoundSource, count: number): Promise<Produced[]> {
  const all: Produced[] = []
  while (all.length < count) {
    const some = Array.from({ length: Math.min(atOnce, count - all.length) }, async (_, at): Promise<Produced> => {
      const message: MessageInit = { address: 'kafka:orders', payload, position: `orders/0/${all.length + at}` }
      const { credential } = await signer({ target, binding: messageBinding(message) })
      return { message, envelope: Buffer.from(credential.kind === 'envelope' ? credential.envelope : '', 'latin1') }
    })
    all.push(...(await Promise.all(some)))
  }
  return all
}

function verifying({ name, keys }: Line, groupKey: KeyObject, size: number, produced: readonly Produced[]): Variant {
  let at = 0
  const make = (): Guard =>
    guard({
      authenticate: signedMessages({
        audience: 'warehouse',
        signers: [{ issuer: 'urn:shop', keys: { publicKey: keys.publicKey } }],
        maxAgeMs: 86_400_000,
        sessions: { groupKey },
        memory: messageMemory({ maxEntries: 2 * size }),
        verifyOn: 'eventLoop',
      }),
    }) as Guard
  let consumer = make()
  return {
    name: `${name}: verify`,
    async batch(times) {
      for (let turn = 0; turn < times; turn++) {
        // A fresh consumer for each pass: nothing is remembered of the messages themselves.
        if (at === produced.length) {
          at = 0
          consumer = make()
        }
        const one = produced[at++]
        if (one === undefined) continue
        const decision = consumer.decide(requestOf(one))
        if ((decision instanceof Promise ? await decision : decision).outcome !== 'allow')
          throw new Error(`${name}: a sound message was refused.`)
      }
    },
  }
}

function requestOf({ message, envelope }: Produced): AccessRequest {
  return {
    credentials: [{ kind: 'envelope', carrier: 'message', envelope: envelope.toString('latin1') }],
    action: 'consume',
    resource: 'orders',
    attributes: {},
    channel: { from: 'relay', protocol: 'kafka', secure: true },
    binding: messageBinding(message),
  }
}
