import { deadLetterHeaderPrefix, deadLetterHeaders, type DeadLetter } from '@portcullis/core'
import { frame } from './frame.ts'
import type { StanMessage } from './message.ts'

/**
 * A dead letter: a frame that says why, when, and where the message stood, around its original bytes, with the frame
 * that it came in. With that around it, one that nearly filled the server's limit would never fit: then the bytes are
 * left out, and are to be read where the letter says that they stand.
 */
export function deadLetterOf(message: StanMessage, letter: DeadLetter, fits: (data: Buffer) => boolean): Buffer {
  const { channel, sequence, stored } = message
  const headers = deadLetterHeaders(letter, { channel, sequence: String(sequence) })
  const whole = frame(headers, stored)
  return fits(whole) ? whole : frame([...headers, [`${deadLetterHeaderPrefix}omitted`, String(stored.length)]], Buffer.alloc(0))
}
