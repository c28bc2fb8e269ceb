/** Who may import whom. */

const everything = '*'

/** For each group of packages: what every member may import, beside the extra edges below. */
const groups: Readonly<Record<string, readonly string[]>> = {
  foundation: [],
  mechanisms: ['core', 'crypto'],
  adapters: ['core', 'tls'],
  servers: ['core', 'crypto', 'auth', 'jwt', 'tls', 'http'],
  tools: [],
}

/** Edges that a package has beyond its group's. The adapter-on-adapter edges are these and no others. */
const extra: Readonly<Record<string, readonly string[]>> = {
  tls: ['core', 'crypto'],
  oauth2: ['jwt', 'tls'],
  message: ['jwt', 'crypto'],
  ldap: ['auth', 'tls'],
  websocket: ['http'],
  graphql: ['http', 'websocket'],
  websub: ['http'],
  config: ['core', 'crypto', 'tls', 'auth', 'jwt', 'oauth2', 'ldap', 'message'],
  testkit: ['core', 'crypto', 'jwt', 'tls'],
  cli: [everything],
}

/** Whether published code of `from` may import `to`, both as short names. */
export function mayImport(from: { readonly name: string; readonly group: string }, to: string): boolean {
  const allowed = [...(groups[from.group] ?? []), ...(extra[from.name] ?? [])]
  return allowed.includes(everything) || allowed.includes(to)
}

/**
 * Where each peer library may be imported: one file or folder under one package's `src`, so that who does not use that
 * room does not need the library. Libraries that a package brings along itself (`dependencies`) are not listed.
 */
export const rooms: Readonly<Record<string, string | readonly string[]>> = {
  '@grpc/grpc-js': 'grpc',
  '@node-rs/argon2': 'crypto/password-algorithms',
  '@node-rs/bcrypt': 'crypto/password-algorithms',
  '@opentelemetry/api': 'core/opentelemetry',
  express: 'http/express',
  amqplib: 'rabbitmq',
  fastify: 'http/fastify',
  hono: 'http/hono',
  '@platformatic/kafka': 'kafka/platformatic',
  kafkajs: 'kafka/kafkajs',
  '@nats-io/jetstream': 'nats',
  '@nats-io/jwt': 'nats/auth-callout',
  '@nats-io/nkeys': 'nats/auth-callout',
  '@nats-io/transport-node': 'nats',
  'node-nats-streaming': 'stan',
  vitest: 'testkit',
  // GraphQL has a protocol of its own over WebSocket.
  ws: ['websocket', 'graphql'],
  graphql: 'graphql',
  'graphql-ws': 'graphql',
  'graphql-yoga': 'graphql',
}
