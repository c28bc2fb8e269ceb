import { retrying } from '@portcullis/core'
import { diagnose } from './diagnose.ts'

/** Runs a task until it succeeds, up to so many times, as long as it fails for an outage. A refusal is never repeated. */
export const attempting = retrying(diagnose)
