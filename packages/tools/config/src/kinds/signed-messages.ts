import type { MessageSigner, SignedMessagesOptions } from '@portcullis/message'
import { decryption, keys, privateKey } from '../key-readers.ts'
import type { Kind } from '../kind.ts'
import { packageOf } from '../package-of.ts'
import { listOf, number, readTable, table, text, texts, type Shape } from '../readers.ts'

const signer = table({ issuer: text, keys, algorithms: texts, subjects: texts, scopes: texts } satisfies Shape<MessageSigner>)
const shape = {
  audience: texts,
  signers: listOf(signer),
  maxAgeMs: number,
  maxTransitMs: number,
  clockToleranceMs: number,
  signedHeaders: texts,
  name: text,
  sessions: table({ groupKey: privateKey }),
  decryption,
  verifyOn: text,
} satisfies Shape<SignedMessagesOptions, 'memory' | 'clock'>

/** `[mechanisms.<name>.signedMessages]`: what `signedMessages()` of `@portcullis/message` takes. */
export const signedMessagesKind: Kind = async (where, value, name, making) => {
  const { signedMessages } = await packageOf(where, '@portcullis/message', () => import('@portcullis/message'))
  const options: unknown = { name, clock: making.clock, ...(await readTable(where, value, shape, making)) }
  // It checks what it is given, whatever the type says.
  return signedMessages(options as SignedMessagesOptions)
}
