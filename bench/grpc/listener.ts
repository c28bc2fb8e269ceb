import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createIssuer } from '@portcullis/jwt'
import { createDevelopmentCertificates } from '@portcullis/tls/development'
import type { RunOptions, Table } from '../table.ts'
import { columns, measure } from './measure.ts'
import { facts, messagesPerStream, paths } from './server.ts'

/** The guarded listener beside the bare library: calls with one answer, and streams. */
export async function run({ quick }: RunOptions): Promise<Table[]> {
  const directory = await mkdtemp(join(tmpdir(), 'portcullis-bench-'))
  try {
    const files = await createDevelopmentCertificates({ directory: join(directory, 'certificates') })
    const [key, certificate, authority] = await Promise.all(
      [files.server.key, files.server.certificate, files.authority].map((file) => readFile(file, 'utf8')),
    )
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const issuer = createIssuer({ ...facts, key: { privateKey, algorithm: 'RS256', keyId: 'k1' }, expiresInSeconds: 3_600 })
    const tokens = await Promise.all(
      Array.from({ length: 8 }, (_, at) => issuer.issue({ subject: `caller-${at}`, claims: { scope: 'read' } })),
    )
    const common = {
      authority: authority ?? '',
      key: key ?? '',
      certificate: certificate ?? '',
      publicKey: String(publicKey.export({ type: 'spki', format: 'pem' })),
      tokens,
    }
    const unary = await measure(
      [
        { name: 'grpc-js', kind: 'bare' },
        { name: 'grpc-js, once more', kind: 'bare' },
        { name: 'serve, everyone()', kind: 'everyone' },
        { name: 'serve, JWT and scope', kind: 'jwt', goal: 0.95 },
        { name: 'serve, JWT, scope and audit', kind: 'audited' },
      ],
      { ...common, path: paths.say, perWindow: 500, messages: 1 },
      quick ? 15 : 150,
    )
    const streams = await measure(
      [
        { name: 'grpc-js', kind: 'bare' },
        { name: 'grpc-js, once more', kind: 'bare' },
        { name: 'serve, JWT and scope', kind: 'jwt', goal: 0.95 },
      ],
      { ...common, path: paths.follow, perWindow: 16, messages: messagesPerStream },
      quick ? 15 : 100,
    )
    const way =
      'Processor time over TLS 1.3 on loopback, each server in a process of its own: 8 connections, 16 calls at a time on each, RS256 tokens verified before. The second row is the noise.'
    return [
      { title: 'gRPC: calls with one answer', note: way, columns, rows: unary },
      {
        title: 'gRPC: streams',
        note: `For one message, in streams of ${messagesPerStream} messages each; each stream has a session with its clock.`,
        columns,
        rows: streams,
      },
    ]
  } finally {
    await rm(directory, { recursive: true })
  }
}
