/**
 * Metrics and spans of decisions through `@opentelemetry/api`, an optional peer dependency: only this entry point loads it.
 */
import { metrics, SpanStatusCode, trace, type Meter, type Tracer } from '@opentelemetry/api'
import type { AuditSubscriber } from './audit.ts'
import { checkOptions } from './options.ts'

/** Options of {@link openTelemetry}. */
export interface OpenTelemetryOptions {
  /** Default: the global meter of that name. */
  readonly meter?: Meter
  /** Default: the global tracer of that name. */
  readonly tracer?: Tracer
}

/**
 * An audit subscriber that counts decisions (`portcullis.decisions`), their duration (`portcullis.decision.duration`,
 * seconds), reported events (`portcullis.events`) and dropped ones, and makes a span per decision. Attributes hold the
 * guard, the protocol, the outcome and the code; no subject, no resource, no credential, so that their number is bounded.
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): AuditSubscriber {
  checkOptions<OpenTelemetryOptions>('openTelemetry', options, { meter: true, tracer: true })
  const meter = options.meter ?? metrics.getMeter('@portcullis/core')
  const tracer = options.tracer ?? trace.getTracer('@portcullis/core')
  const decisions = meter.createCounter('portcullis.decisions', { description: 'Decisions of guards' })
  const duration = meter.createHistogram('portcullis.decision.duration', { unit: 's', description: 'Duration of decisions' })
  const events = meter.createCounter('portcullis.events', { description: 'Reported events' })
  const dropped = meter.createCounter('portcullis.events.dropped', { description: 'Audit events dropped since subscribers were too slow' })
  return (event) => {
    switch (event.type) {
      case 'decision': {
        const attributes = {
          'portcullis.guard': event.guard,
          'portcullis.protocol': event.protocol,
          'portcullis.outcome': event.outcome,
          ...(event.code !== undefined && { 'portcullis.code': event.code }),
        }
        decisions.add(1, attributes)
        duration.record(event.durationMs / 1_000, attributes)
        const endTime = event.time.getTime()
        const span = tracer.startSpan('portcullis.decide', { attributes, startTime: endTime - event.durationMs })
        if (event.outcome === 'unavailable') span.setStatus({ code: SpanStatusCode.ERROR })
        span.end(endTime)
        break
      }
      case 'overflow':
        dropped.add(event.dropped, { 'portcullis.guard': event.guard })
        break
      default:
        events.add(1, { 'portcullis.guard': event.guard, 'portcullis.event': event.type })
    }
  }
}
