import type { ChannelModel, ConsumeMessage } from 'amqplib'

const unreadable = Symbol('unreadable')

// AMQP 0-9-1 section 2.3.5: type, channel and length stand before the payload of a frame; section 2.3.5.2: in that of a
// content header the class, a weight and the size of the body come first.
const headerFrame = 2
const frameStart = 7
const bodySizeAt = frameStart + 4

interface Reading {
  /** What has come in and is not read yet. */
  readonly rest: Buffer
  recvFrame?: () => unknown
}

/**
 * Hands out a message whose properties the library cannot read without them. The broker takes kinds of values that the
 * library does not know, and tables in tables beyond any stack; each such message would end every connection that it
 * is handed out on, and so the consumer for good.
 */
export function readUnreadable(model: ChannelModel): void {
  // The library's type leaves out how a connection reads. A version that reads otherwise is left as it is.
  const connection = model.connection as unknown as Reading
  const read = connection.recvFrame
  if (read === undefined) return
  connection.recvFrame = () => {
    const before = connection.rest
    try {
      return read.call(connection)
    } catch (error) {
      // The frame was taken off, so it was whole, and what it holds is what could not be read.
      if (connection.rest === before || before[0] !== headerFrame) throw error
      return {
        id: before.readUInt16BE(frameStart),
        channel: before.readUInt16BE(1),
        size: Number(before.readBigUInt64BE(bodySizeAt)),
        fields: { [unreadable]: true },
      }
    }
  }
}

/** Whether it came without its properties, since nobody could read them. */
export function isUnreadable({ properties }: ConsumeMessage): boolean {
  return unreadable in properties
}
