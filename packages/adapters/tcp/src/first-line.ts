import { maxAuthorizationLength, UnavailableError, type Clock } from '@portcullis/core'
import type { TLSSocket } from 'node:tls'
import type { TcpErrorCode } from './errors.ts'

/**
 * Reads the line by which a peer proves itself, up to a line feed, with or without a carriage return before it. What
 * stands behind it is put back for the application. Rejects with `ERR_TCP_FIRST_LINE` when the peer closes, is slower
 * than `withinMs`, or writes more than a credential can have.
 */
export function readFirstLine(socket: TLSSocket, clock: Clock, withinMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const settle = (use: () => void): void => {
      timer.cancel()
      // Without listeners of ours the stream is as new: it flows when the application listens.
      socket.off('readable', onReadable).off('end', onEnd).off('close', onEnd)
      use()
    }
    const fail = (why: string): void => settle(() => reject(new UnavailableError<TcpErrorCode>('ERR_TCP_FIRST_LINE', why)))
    const onEnd = (): void => fail('The peer closed before its first line was complete.')
    const onReadable = (): void => {
      for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
        const at = chunk.indexOf(0x0a)
        const used = at === -1 ? chunk : chunk.subarray(0, at)
        chunks.push(used)
        length += used.length
        if (length > maxAuthorizationLength + 1) return fail('The first line is longer than any credential.')
        if (at === -1) continue
        const rest = chunk.subarray(at + 1)
        return settle(() => {
          if (rest.length > 0) socket.unshift(rest)
          resolve(Buffer.concat(chunks).toString('utf8').replace(/\r$/, ''))
        })
      }
      return undefined
    }
    const timer = clock.schedule(withinMs, () => fail('The first line was not complete in time.'))
    socket.on('readable', onReadable).once('end', onEnd).once('close', onEnd)
  })
}
