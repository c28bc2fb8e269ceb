import { Admin } from '@platformatic/kafka'
import { basicCredentials } from '@portcullis/auth'
import { sasl, ssl } from '@portcullis/kafka/platformatic'
import type { Kafka } from '@portcullis/test-servers'
import { tlsBundle } from '@portcullis/tls'

/** Makes topics, by the library's own `Admin`: what `sasl` and `ssl` make fits every client of the library. */
export async function createTopics(broker: Kafka, ...topics: readonly string[]): Promise<void> {
  const origin = `kafka://${broker.saslBootstrap}`
  const bundle = await tlsBundle({ side: 'client', trust: { pemFile: broker.pki.ca.certificateFile } })
  const source = basicCredentials({ username: 'admin', password: broker.users['admin'] ?? '', targets: [origin] })
  const admin = new Admin({
    clientId: 'admin',
    bootstrapBrokers: [broker.saslBootstrap],
    ...ssl(bundle),
    ...sasl({ mechanism: 'PLAIN', source, origin }),
  })
  // The broker stamps the time at which it takes a message, so that old messages can be judged by the time at which they came.
  const configs = [{ name: 'message.timestamp.type', value: 'LogAppendTime' }]
  await admin.createTopics({ topics: [...topics], partitions: 1, replicas: 1, configs })
  await admin.close()
  bundle.close()
}
