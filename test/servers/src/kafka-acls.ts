import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import type { KafkaFacts } from './kafka.ts'

/** One access rule: `{ principal: 'alice', resource: 'topic', name: 'orders', operation: 'write' }`. */
export interface KafkaAcl {
  /** Without the `User:` that Kafka puts before it. */
  principal: string
  resource: keyof typeof resources
  /** The resource's name, or a prefix of many; one of the two. `*` as name means every one. */
  name?: string
  prefix?: string
  /** Default `all`. */
  operation?: keyof typeof operations
  deny?: boolean
}

const resources = { topic: 2, group: 3, cluster: 4, transaction: 5 }
const operations = {
  all: 2,
  read: 3,
  write: 4,
  create: 5,
  delete: 6,
  alter: 7,
  describe: 8,
  describeConfigs: 10,
  alterConfigs: 11,
  idempotentWrite: 12,
}
const patterns = { literal: 3, prefixed: 4 }
const permissions = { deny: 2, allow: 3 }

const createAclsKey = 30
const describeAclsKey = 29

/**
 * Adds access rules over the mTLS listener, as the broker itself. Kafka's own tool for it is a Java program that takes two
 * seconds a call; this is one frame. Returns when the broker's authorizer has the last of the rules.
 */
export async function createAcls(kafka: KafkaFacts, acls: readonly KafkaAcl[]): Promise<void> {
  const last = acls.at(-1)
  if (last === undefined) return
  const created = await request(kafka, createAclsKey, Buffer.concat([int32(acls.length), ...acls.map(bindingOf)]))
  let offset = 12
  for (const acl of acls) {
    const code = created.readInt16BE(offset)
    const length = created.readInt16BE(offset + 2)
    if (code !== 0)
      throw new Error(
        `Kafka refused the rule ${JSON.stringify(acl)}: error ${code} ${created.toString('utf8', offset + 4, offset + 4 + Math.max(length, 0))}`,
      )
    offset += 4 + Math.max(length, 0)
  }
  // Accepted means written to the log, which the authorizer reads a moment later.
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const described = await request(kafka, describeAclsKey, bindingOf(last))
    const messageLength = Math.max(described.readInt16BE(10), 0)
    if (described.readInt32BE(12 + messageLength) > 0) return
    await sleep(20)
  }
  throw new Error('Kafka accepted the access rules but does not apply them')
}

function bindingOf(acl: KafkaAcl): Buffer {
  const name = acl.name ?? acl.prefix ?? (acl.resource === 'cluster' ? 'kafka-cluster' : undefined)
  if (name === undefined) throw new Error(`an access rule needs a name or a prefix: ${JSON.stringify(acl)}`)
  return Buffer.concat([
    Buffer.of(resources[acl.resource]),
    string(name),
    Buffer.of(acl.prefix === undefined ? patterns.literal : patterns.prefixed),
    string(`User:${acl.principal}`),
    string('*'),
    Buffer.of(operations[acl.operation ?? 'all'], permissions[acl.deny === true ? 'deny' : 'allow']),
  ])
}

/** Sends one request in version 1, the newest whose encoding has no tagged fields, and returns the answer after its length. */
async function request(kafka: KafkaFacts, key: number, body: Buffer): Promise<Buffer> {
  const { broker, pki } = kafka
  const socket = connect({
    port: kafka.mtlsPort,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: pki.ca.certificate,
    cert: broker.certificate,
    key: broker.key,
  })
  const deadline = AbortSignal.timeout(10_000)
  try {
    await once(socket, 'secureConnect', { signal: deadline })
    const frame = Buffer.concat([int16(key), int16(1), int32(1), string('portcullis-test-servers'), body])
    socket.write(Buffer.concat([int32(frame.length), frame]))
    let answer = Buffer.alloc(0)
    while (answer.length < 4 || answer.length < 4 + answer.readInt32BE(0)) {
      const [chunk] = (await once(socket, 'data', { signal: deadline })) as [Buffer]
      answer = Buffer.concat([answer, chunk])
    }
    return answer.subarray(4)
  } finally {
    socket.destroy()
  }
}

function int16(value: number): Buffer {
  const buffer = Buffer.alloc(2)
  buffer.writeInt16BE(value)
  return buffer
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32BE(value)
  return buffer
}

function string(text: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(text)), Buffer.from(text)])
}
