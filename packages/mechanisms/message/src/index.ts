/**
 * `@portcullis/message`: signed messages, so that a consumer knows who *produced* a message and not only that the
 * broker let it in. {@link messageSigner} is for producers, {@link signedMessages} for the guard of a consumer; the
 * adapters for Kafka, RabbitMQ and NATS carry the envelope.
 *
 * Not for confidentiality: payloads stay as they are, readable by the broker. Not for tokens of requests: those are in
 * `@portcullis/jwt`.
 */
export { signedMessages } from './signed-messages.ts'
export type { MessageSigner, SignedMessagesOptions } from './signed-messages.ts'
export { messageSigner } from './message-signer.ts'
export type { MessageSignerOptions, SigningProfile } from './message-signer.ts'
export { messageMemory } from './message-memory.ts'
export type { MessageMemory, MessageMemoryOptions, Sighting } from './message-memory.ts'
export { batchType, envelopeType, sessionType } from './envelope.ts'
export type { EnvelopeClaims } from './envelope.ts'
export { messageErrorCodes } from './errors.ts'
export type { MessageError, MessageErrorCode } from './errors.ts'
