import type { EndReason, Refusal } from '@portcullis/core'
import type { GraphQLError } from 'graphql'
import { type ExecutionResult } from 'graphql'
import { endError, refusalError } from './refuse.ts'

type Event = ExecutionResult

/**
 * A subscription that can be ended from outside while it waits: its reader gets one last event that says why, and the
 * source is told. Nothing of the source is delivered after the end.
 */
export class GuardedStream implements AsyncIterableIterator<Event> {
  readonly #source: AsyncIterator<Event>
  #wake: (() => void) | undefined
  #last: Event | undefined
  #over = false
  #standing: () => boolean = () => true
  #release: (() => void) | undefined

  constructor(source: AsyncIterable<Event>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** `standing` is asked before anything is delivered; `release` is called once, when it is over. */
  lasts(standing: () => boolean, release: () => void): void {
    this.#standing = standing
    this.#release = release
    if (this.#over) release()
  }

  /** Its session is over. */
  end(reason: EndReason): void {
    this.#finish(endError(reason))
  }

  /** Its session goes on, without the right to this. */
  refuse(refusal: Refusal): void {
    this.#finish(refusalError(refusal))
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    if (this.#over) return Promise.resolve(this.#farewell())
    // No `Promise.race`: each would leave a reaction at a promise that lives as long as the stream.
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Event, undefined>>()
    this.#wake = () => resolve(this.#farewell())
    this.#read().then(resolve, reject)
    return promise
  }

  async return(): Promise<IteratorResult<Event, undefined>> {
    this.#last = undefined
    this.#finish(undefined)
    return { done: true, value: undefined }
  }

  async throw(): Promise<IteratorResult<Event, undefined>> {
    return this.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async #read(): Promise<IteratorResult<Event, undefined>> {
    try {
      const result = await this.#source.next()
      // What the source gives after the end is dropped; whoever waited has been told.
      if (!this.#over && result.done !== true && this.#standing()) return { done: false, value: result.value }
      this.#finish(undefined)
      return this.#farewell()
    } catch (error) {
      this.#wake = undefined
      this.#finish(undefined)
      throw error
    }
  }

  #farewell(): IteratorResult<Event, undefined> {
    const last = this.#last
    this.#last = undefined
    return last === undefined ? { done: true, value: undefined } : { done: false, value: last }
  }

  #finish(error: GraphQLError | undefined): void {
    if (this.#over) return
    this.#over = true
    if (error !== undefined) this.#last = { errors: [error] }
    this.#wake?.()
    // A source that does not end is nobody's to wait for.
    void this.#stop()
    this.#release?.()
  }

  async #stop(): Promise<void> {
    try {
      await this.#source.return?.()
    } catch {
      // Its reader is gone.
    }
  }
}
