import { deadLetterHeaderPrefix, deadLetterHeaders, isSecurityError, type DeadLetter } from '@portcullis/core'
import type { Options } from 'amqplib'
import { randomUUID } from 'node:crypto'
import type { RabbitmqClient } from './client.ts'
import { Line } from './line.ts'
import type { RabbitmqMessage } from './message.ts'
import { isUnreadable } from './unreadable.ts'

/** What is stored of a message, and as what. */
interface Form {
  readonly content: Buffer
  readonly options: Options.Publish & { readonly messageId: string }
}

/**
 * A message as dead letter: as it came and behind its headers why, when, and by which exchange and routing key. After it,
 * what to store where that does not fit: without headers and properties, and without any of its bytes; `…-omitted` says so.
 *
 * Dropped are headers of these names that came with the message, since somebody else wrote them, its expiry, and the user
 * that the broker once checked. `CC` stands under a name of ours: the broker would send the dead letter there, too.
 */
export function formsOf(message: RabbitmqMessage, queue: string, letter: DeadLetter): readonly [Form, ...Form[]] {
  const { exchange, routingKey, content, id = randomUUID(), native } = message
  const { headers, contentType, contentEncoding, correlationId, replyTo, timestamp, type, appId } = native.properties
  const added = deadLetterHeaders(letter, { queue, exchange, 'routing-key': routingKey })
  const kept = Object.entries(headers ?? {})
    .filter(([name]) => !name.toLowerCase().startsWith(deadLetterHeaderPrefix))
    .map(([name, value]): [string, unknown] => [routing.has(name) ? `${deadLetterHeaderPrefix}${name.toLowerCase()}` : name, value])
  const own = { contentType, contentEncoding, correlationId, replyTo, timestamp, type, appId }
  const whole: Form = {
    content,
    options: {
      ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)),
      messageId: id,
      headers: Object.fromEntries([...kept, ...added]),
    },
  }
  const without = (omitted: string, left: Buffer): Form => ({
    content: left,
    // The identifier, too, may be what cannot be written.
    options: { messageId: randomUUID(), headers: Object.fromEntries([...added, [`${deadLetterHeaderPrefix}omitted`, omitted]]) },
  })
  const bare = without('headers, properties', content)
  const empty = without('content, headers, properties', Buffer.alloc(0))
  return isUnreadable(native) ? [bare, empty] : [whole, bare, empty]
}

// By these, exactly so written, the broker routes beside the routing key. It leaves no BCC in a message, but the first alone.
const routing: ReadonlySet<string> = new Set(['CC', 'BCC'])

/** Stores dead letters in a queue. */
export class DeadLetters {
  readonly #queue: string
  readonly #together: Line
  readonly #alone: Line
  #turn: Promise<void> = Promise.resolve()

  constructor(client: RabbitmqClient, queue: string) {
    this.#queue = queue
    this.#together = new Line(client)
    this.#alone = new Line(client)
  }

  /**
   * Stores the first form that fits; resolves when the broker has confirmed it. Whoever sends what a broker takes and a
   * client cannot send again would else stop a consumer for good.
   */
  async store(forms: readonly [Form, ...Form[]]): Promise<void> {
    try {
      await this.#publish(this.#together, forms[0])
    } catch (error) {
      if (!isUnfit(error)) throw error
      // What the broker refuses ends the channel for all that are under way on it; whose fault it was shows one by one.
      const stored = this.#turn.then(() => this.#storeAlone(forms))
      this.#turn = stored.catch(() => undefined)
      await stored
    }
  }

  async close(): Promise<void> {
    await this.#together.close()
    await this.#alone.close()
  }

  async #storeAlone([form, ...smaller]: readonly Form[]): Promise<void> {
    if (form === undefined) return
    try {
      await this.#publish(this.#alone, form)
    } catch (error) {
      if (smaller.length === 0 || !isUnfit(error)) throw error
      await this.#storeAlone(smaller)
    }
  }

  async #publish(line: Line, { content, options }: Form): Promise<void> {
    await (await line.channel()).publish('', this.#queue, content, options)
  }
}

function isUnfit(error: unknown): boolean {
  return isSecurityError(error, 'ERR_RABBITMQ_MESSAGE')
}
