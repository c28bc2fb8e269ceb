import { vouchForPrincipal } from '@portcullis/core'
import { describe, expect, it } from 'vitest'
import { scopePermissions, type Asked } from './index.ts'

const holder = (...scopes: string[]) => vouchForPrincipal({ issuer: 'urn:x', subject: 'x', scopes })
const may = async (scope: string, action: string, resource: string, attributes: Partial<Asked> = {}, rule = scopePermissions()) =>
  (await rule(holder('other', scope), { action, resource, attributes: { virtualHost: '/', kind: 'queue', ...attributes } })).outcome ===
  'granted'

describe('permissions by scope', () => {
  it.each([
    ['rabbitmq.write:%2F/orders', 'write', 'orders', true],
    ['rabbitmq.write:%2F/orders', 'read', 'orders', false],
    ['rabbitmq.write:%2F/orders', 'write', 'orders2', false],
    ['rabbitmq.write:%2F/orders', 'write', 'xorders', false],
    ['rabbitmq.write:*/*', 'write', 'orders', true],
    ['rabbitmq.write:*/*', 'configure', 'orders', false],
    ['rabbitmq.write:shop/*', 'write', 'orders', false],
    ['rabbitmq.write:%2F/a*b', 'write', 'abab', true],
    ['rabbitmq.write:%2F/a*b*c', 'write', 'a1b2c', true],
    ['rabbitmq.write:%2F/a*b*c', 'write', 'acb', false],
    ['rabbitmq.write:%2F/ab*ba', 'write', 'aba', false],
    ['rabbitmq.write:%2F/%2A', 'write', '*', true],
    ['rabbitmq.write:%2F/%2A', 'write', 'anything', false],
    ['rabbitmq.write:%2F/', 'write', 'orders', false],
    ['rabbitmq.write:%2F', 'write', 'orders', false],
    ['rabbitmq.write:%2F/%zz*', 'write', '%zz1', false],
    ['rabbitmq.write:%2F/orders/%zz', 'write', 'orders', false],
    ['rabbitmq.write:%2F/orders/a/b', 'write', 'orders', false],
    ['rabbitmq.write:%2F/orders/*', 'write', 'orders', true],
    ['rabbitmq.Write:%2F/orders', 'write', 'orders', false],
    ['rabbitmq.administer:%2F/orders', 'administer', 'orders', false],
    ['rabbitmq.write:%2F/[a-z]+', 'write', 'orders', false],
    ['write:%2F/orders', 'write', 'orders', false],
    ['other.write:%2F/orders', 'write', 'orders', false],
  ])('%s, asked to %s %s: %s', async (scope, action, name, expected) => {
    expect(await may(scope, action, name)).toBe(expected)
  })

  it.each([
    ['rabbitmq.write:%2F/events/eu.*', 'eu.berlin', true],
    ['rabbitmq.write:%2F/events/eu.*', 'us.boston', false],
    ['rabbitmq.write:%2F/events/*', '', true],
    ['rabbitmq.write:%2F/events', 'eu.berlin', false],
    ['rabbitmq.read:%2F/events/*', 'eu.berlin', false],
  ])('%s, asked for the routing key "%s": %s', async (scope, routingKey, expected) => {
    expect(await may(scope, 'write', 'events', { kind: 'topic', routingKey })).toBe(expected)
  })

  it('let enter a virtual host that any of them names', async () => {
    const enter = (scope: string, virtualHost: string) => may(scope, 'enter', virtualHost, { virtualHost, kind: 'virtualHost' })
    expect(await enter('rabbitmq.read:shop/orders', 'shop')).toBe(true)
    expect(await enter('rabbitmq.read:shop/orders', '/')).toBe(false)
    expect(await enter('rabbitmq.enter:shop/orders', 'shop')).toBe(false)
    expect(await enter('shop', 'shop')).toBe(false)
  })

  it('take another prefix, and none that is empty', async () => {
    expect(await may('broker:write:%2F/orders', 'write', 'orders', {}, scopePermissions('broker:'))).toBe(true)
    expect(await may('rabbitmq.write:%2F/orders', 'write', 'orders', {}, scopePermissions('broker:'))).toBe(false)
    expect(() => scopePermissions('')).toThrow(/must be a text/)
  })

  it('permit nothing where nothing is known of what is asked', async () => {
    const rule = scopePermissions()
    expect(await rule(holder('rabbitmq.write:*/*'), { action: 'write', resource: 'x', attributes: {} })).toMatchObject({
      outcome: 'forbid',
    })
    expect(await rule({ kind: 'anonymous' }, { action: 'write', resource: 'x', attributes: { virtualHost: '/' } })).toMatchObject({
      outcome: 'forbid',
    })
  })

  it('cost a steady time, whatever is asked', async () => {
    const hostile = 'a'.repeat(20_000)
    expect(await may(`rabbitmq.write:%2F/${'a*'.repeat(500)}b`, 'write', hostile)).toBe(false)
  })
})
