import { describe, expect, it } from 'vitest'
import { principal, request } from './fixtures.test-support.ts'
import {
  authenticator,
  guard,
  maxDeadLettersPerSecond,
  MessageGate,
  messageBinding,
  messageIdentityHeader,
  refused,
  UnavailableError,
  type DeadLetter,
  type Principal,
  type ReportEvent,
  type Verdict,
} from './index.ts'
import { manualClock } from './testing.ts'

function setUp(judge: () => Verdict, options: { readonly overRate?: 'wait' | 'drop' } = {}) {
  const clock = manualClock()
  const events: ReportEvent[] = []
  const log: string[] = []
  const letters: DeadLetter[] = []
  const state = { failing: false }
  const guarded = guard({ authenticate: authenticator<Principal>('x', judge), clock })
  guarded.subscribe((event) => void (event.type === 'messageRefused' && events.push(event)))
  const gate = new MessageGate<string>({
    guard: guarded,
    describe: () => request({ action: 'consume' }),
    deadLetter: async (_, letter) => {
      if (state.failing) throw new Error('broker down')
      letters.push(letter)
    },
    onPause: () => log.push('pause'),
    onResume: () => log.push('resume'),
    ...options,
  })
  return {
    clock,
    log,
    letters,
    events,
    state,
    gate,
    handle: (message: string, party: Principal) => void log.push(`${message} by ${party.subject}`),
  }
}

describe('MessageGate', () => {
  it('hands on what is allowed, with its principal', async () => {
    const { gate, handle, log } = setUp(() => principal())
    expect(await gate.pass('m1', handle)).toBe('handled')
    expect(log).toEqual(['m1 by alice'])
  })

  it('pauses once for all that wait, resumes after the last of them, and not at all once it is closed', async () => {
    let down = true
    const { clock, gate, handle, log } = setUp(() => {
      if (down) throw new UnavailableError('ERR_KEYS', { message: 'keys are out of reach' })
      return principal()
    })
    const both = [gate.pass('m1', handle), gate.pass('m2', handle)]
    await clock.advanceAsync(1_000)
    expect(log).toEqual(['pause'])
    down = false
    await clock.advanceAsync(30_000)
    expect(await Promise.all(both)).toEqual(['handled', 'handled'])
    expect(log.filter((line) => !line.startsWith('m'))).toEqual(['pause', 'resume'])
    down = true
    const third = gate.pass('m3', handle)
    const given = expect(third).rejects.toMatchObject({ code: 'ERR_ABORTED' })
    await clock.advanceAsync(10)
    gate.close()
    await given
    expect(log.slice(-1)).toEqual(['pause'])
  })

  it('stores what is refused, tries again until that is confirmed, and never hands it on', async () => {
    const { clock, gate, handle, log, letters, state } = setUp(() => refused('ERR_X'))
    state.failing = true
    let end: string | undefined
    void gate.pass('m1', handle).then((outcome) => (end = outcome))
    for (let turn = 0; turn < 5; turn++) await clock.advanceAsync(1_000)
    expect(end).toBe(undefined)
    state.failing = false
    await clock.advanceAsync(30_000)
    expect(end).toBe('deadLettered')
    expect(letters).toMatchObject([{ reason: 'invalid', code: 'ERR_X' }])
    expect(log).toEqual([])
  })

  it('waits while nothing can be judged, and neither hands on nor stores', async () => {
    let down = true
    const { clock, gate, handle, log, letters } = setUp(() => {
      if (down) throw new UnavailableError('ERR_X', 'down')
      return principal()
    })
    const both = Promise.all([gate.pass('m1', handle), gate.pass('m2', handle)])
    for (let turn = 0; turn < 5; turn++) await clock.advanceAsync(10_000)
    expect(log).toEqual(['pause'])
    down = false
    await clock.advanceAsync(30_000)
    expect(await both).toEqual(['handled', 'handled'])
    expect(log.toSorted()).toEqual(['m1 by alice', 'm2 by alice', 'pause', 'resume'])
    expect(letters).toEqual([])
  })

  it('gives up what waits when it is closed, unacknowledged', async () => {
    const { clock, gate, handle } = setUp(() => {
      throw new UnavailableError('ERR_X', 'down')
    })
    const waiting = gate.pass('m1', handle)
    await clock.advanceAsync(1)
    gate.close()
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED' })
    expect(clock.pending).toBe(0)
  })

  it('stores a bounded number a second', async () => {
    const { clock, gate, handle, letters } = setUp(() => refused('ERR_X'))
    const flood = Promise.all(Array.from({ length: 250 }, (_, at) => gate.pass(`m${at}`, handle)))
    await clock.advanceAsync(0)
    expect(letters.length).toBe(maxDeadLettersPerSecond)
    await clock.advanceAsync(1_000)
    expect(letters.length).toBe(2 * maxDeadLettersPerSecond)
    await clock.advanceAsync(1_000)
    await flood
    expect(letters.length).toBe(250)
  })

  it('drops what is refused beyond that rate where nothing is kept, and lets sound messages through meanwhile', async () => {
    let forged = true
    const { clock, gate, handle, letters, log, events } = setUp(() => (forged ? refused('ERR_X') : principal()), { overRate: 'drop' })
    const ends = await Promise.all(Array.from({ length: 250 }, (_, at) => gate.pass(`m${at}`, handle)))
    expect(ends.filter((end) => end === 'dropped').length).toBe(150)
    expect(letters.length).toBe(maxDeadLettersPerSecond)
    forged = false
    expect(await gate.pass('sound', handle)).toBe('handled')
    expect(log).toEqual(['sound by alice'])
    forged = true
    await clock.advanceAsync(1_000)
    expect(await gate.pass('later', handle)).toBe('deadLettered')
    await expect.poll(() => events.filter(({ message }) => message === 'invalid, dropped').length).toBe(150)
    expect(() => setUp(() => principal(), { overRate: '' as never })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })

  it('leaves the failure of a handler to the application', async () => {
    const { gate, letters } = setUp(() => principal())
    await expect(gate.pass('m1', () => Promise.reject(new Error('mine')))).rejects.toThrow('mine')
    expect(letters).toEqual([])
  })
})

describe('messageBinding', () => {
  it('says the same of what was sent and what was received, without the headers that carry the identity', () => {
    const binding = messageBinding({
      address: 'kafka:orders',
      payload: Buffer.from('abc'),
      key: Buffer.from([0, 255]),
      headers: [
        ['Trace', '1'],
        [messageIdentityHeader, 'x'],
        ['Portcullis-Caller', 'y'],
      ],
    })
    expect(binding).toMatchObject({ method: 'publish', uri: 'kafka:orders', contentDigest: 'ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0' })
    expect(binding.message?.key).toBe('AP8')
    expect([...(binding.message?.headers ?? [])]).toEqual([['Trace', '1']])
    expect(binding.message?.caller).toBe('y')
  })
})
