import { Consumer, type CallbackWithPromise, type FetchOptions } from '@platformatic/kafka'

type FetchResponse = Awaited<ReturnType<Consumer['fetch']>>

// The bit of a batch's attributes that says that its times are the broker's (the record batch format, timestampType).
const logAppendTime = 0x08

/**
 * A consumer whose messages know when the broker took them. The library hands on neither the kind of a time nor the
 * broker's own: it adds the producer's differences to the first time of a batch. Both stand in what `fetch` resolves with.
 */
export class TimedConsumer extends Consumer {
  override fetch(options: FetchOptions<Buffer, Buffer, Buffer, Buffer>, callback: CallbackWithPromise<FetchResponse>): void
  override fetch(options: FetchOptions<Buffer, Buffer, Buffer, Buffer>): Promise<FetchResponse>
  override fetch(
    options: FetchOptions<Buffer, Buffer, Buffer, Buffer>,
    callback?: CallbackWithPromise<FetchResponse>,
  ): Promise<FetchResponse> | void {
    if (callback === undefined) return super.fetch(options).then(stamp)
    super.fetch(options, (error, response) => callback(error, response && stamp(response)))
  }
}

/** When the broker took a message, if the topic has its times from the broker. */
export function appendedAtOf(metadata: Readonly<Record<string, unknown>>): Date | undefined {
  const at = metadata['appendedAtMs']
  return typeof at === 'number' ? new Date(at) : undefined
}

function stamp(response: FetchResponse): FetchResponse {
  for (const { partitions } of response.responses)
    for (const { records: batches } of partitions)
      for (const batch of batches ?? [])
        if (batch.attributes & logAppendTime) {
          const metadata = { appendedAtMs: Number(batch.maxTimestamp) }
          // The stream copies a record into its message, and `metadata` with it.
          for (const record of batch.records) Object.assign(record, { metadata })
        }
  return response
}
