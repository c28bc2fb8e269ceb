/** What the tests of this package share. Not part of what is published. */
import type { AccessRequest } from './access-request.ts'
import type { Credential } from './credential.ts'
import { vouchForPrincipal, type Principal, type PrincipalInit } from './principal.ts'
import { secret } from './secret.ts'

export function principal(init: Partial<PrincipalInit> = {}): Principal {
  return vouchForPrincipal({ issuer: 'https://issuer.example', subject: 'alice', ...init })
}

export function bearer(token = 'a-token', carrier = 'authorization'): Credential {
  return { kind: 'bearer', carrier, token: secret(token) }
}

export function request(init: Partial<AccessRequest> = {}): AccessRequest {
  return {
    credentials: [bearer()],
    action: 'GET',
    resource: '/orders',
    attributes: {},
    channel: { from: 'peer', protocol: 'https', secure: true, remoteAddress: '127.0.0.1' },
    ...init,
  }
}
