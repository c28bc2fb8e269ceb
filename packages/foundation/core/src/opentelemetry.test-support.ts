/** A recorder behind the interfaces of `@opentelemetry/api`; the SDK would be a heavy way to the same three lists. */
import { createNoopMeter, ProxyTracer, type Meter, type Tracer } from '@opentelemetry/api'

export class Recorder {
  readonly counted: [string, number, unknown][] = []
  readonly spans: string[] = []

  get meter(): Meter {
    const meter = createNoopMeter()
    meter.createCounter = (name: string) => ({
      add: (value: number, attributes?: unknown) => void this.counted.push([name, value, attributes]),
    })
    return meter
  }

  get tracer(): Tracer {
    const spans = this.spans
    const none = new ProxyTracer({ getDelegateTracer: () => undefined }, 'none')
    return {
      startSpan(name, options, context) {
        spans.push(name)
        return none.startSpan(name, options, context)
      },
      startActiveSpan: none.startActiveSpan.bind(none),
    }
  }
}
