import { vouchForPrincipal } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { describe, expect, it } from 'vitest'
import { Standing } from './standing.ts'

const login = { action: 'connect', resource: 'rabbitmq', attributes: {} }
const held = (subject: string, issuer = 'urn:x') => ({ principal: vouchForPrincipal({ issuer, subject }), login })

describe('who stands under a name', () => {
  it('is forgotten when ten thousand others were asked about since', () => {
    const standing = new Standing(manualClock(), 60_000)
    for (let at = 0; at < 10_000; at++) standing.enter(`n${at}`, '/', held(`n${at}`))
    expect(standing.in('n0', '/')).toBeDefined()
    standing.enter('another', '/', held('another'))
    expect([standing.in('n0', '/'), standing.in('n1', '/'), standing.in('n2', '/')].map((one) => one?.principal.subject)).toEqual([
      'n0',
      undefined,
      'n2',
    ])
  })

  it('is not mixed up by names that run into virtual hosts', () => {
    const standing = new Standing(manualClock(), 60_000)
    standing.enter('a","b', 'c', held('x'))
    expect([standing.in('a', 'b","c'), standing.in('a', 'c'), standing.entering('a","b', 'd')]).toEqual([undefined, undefined, undefined])
    standing.prove('a', held('a'))
    expect(standing.in('a', '')).toBeUndefined()
  })
})
