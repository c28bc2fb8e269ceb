import type { SecurityError } from '@portcullis/core'

/** The codes of the refusals of `@portcullis/message`, each with its meaning. Those of the signature itself are `ERR_JWT_…`. */
export const messageErrorCodes = {
  ERR_MESSAGE_CLAIM_INVALID: 'The envelope lacks a part, or has one of a wrong type.',
  ERR_MESSAGE_ADDRESS: 'The message was signed for another topic, exchange, routing key or subject than the one it came by.',
  ERR_MESSAGE_PAYLOAD: 'The payload is not the one that was signed.',
  ERR_MESSAGE_KEY: 'The message key is not the one that was signed.',
  ERR_MESSAGE_CALLER: "The caller's token is not the one that was signed along, or one was added or taken away.",
  ERR_MESSAGE_HEADERS: 'A header that was signed has another value or is gone, or one that must be signed was not.',
  ERR_MESSAGE_ID: 'The identifier of the message is not the one that was signed.',
  ERR_MESSAGE_UNTIMELY:
    'The time of signing is too far from the time at which the message entered the log, or from now where the broker stamps no time.',
  ERR_MESSAGE_REPLAYED: 'A message with this identifier was seen at another position.',
  ERR_MESSAGE_DONE: 'A redelivery of a message that was handled already.',
  ERR_MESSAGE_BATCH: 'The message is not a member of the batch that was signed.',
  ERR_MESSAGE_SESSION:
    'The tag of a MAC session does not hold, the session is for another group or over, or sessions are not accepted here.',
  ERR_MESSAGE_SIGNER: 'The signer is not one of those that may produce here.',
  ERR_MESSAGE_MEMORY_FULL: 'The memory of message identifiers has no room; nothing was forgotten to make some.',
} as const satisfies Record<`ERR_MESSAGE_${string}`, string>

/** One of the keys of {@link messageErrorCodes}. */
export type MessageErrorCode = keyof typeof messageErrorCodes
/** An error of this package. */
export type MessageError = SecurityError<MessageErrorCode>
