import { createHash, randomUUID } from 'node:crypto'

import { credentialOf, deadLetterReasons, type BoundSource, type CredentialSource } from '@portcullis/core'
import { envelopeType, signedMessages } from '@portcullis/message'
import type { Carrier, Given, Harness, Observed, Outcome, TestIssuer, TokenFacts, Unsupported } from '@portcullis/testkit'

/** How a peer reaches the broker: usually by password; otherwise in a way that the broker or the client must refuse. */
export type Way = 'password' | 'certificate' | 'kitTrust' | 'otherName'

/** What the adapters of brokers have in common towards the kit: credentials are signed messages, and a broker stands between. */
export interface BrokerKit {
  /** How the present scenario reaches the broker. */
  readonly way: () => Way
  readonly mechanism: NonNullable<Harness['mechanism']>
  readonly unsupported: NonNullable<Harness['unsupported']>
  /** What a carrier is in a message to this address: the name of its header, and the value. */
  header(carrier: Carrier, address: string): readonly [name: string, value: string]
  /** Signs as `messageSigner` does, as whom the kit's source says. */
  signer(source: CredentialSource): BoundSource
}

/** The content of every message, for what is signed holds its digest. */
export const content = 'read, please'

/** What became of a message that was refused, by the reason of its dead letter. */
export const outcomes: Readonly<Record<string, Outcome>> = {
  [deadLetterReasons.missing]: 'challenged',
  [deadLetterReasons.malformed]: 'challenged',
  [deadLetterReasons.invalid]: 'challenged',
  [deadLetterReasons.stepUp]: 'challenged',
  [deadLetterReasons.insufficientScope]: 'forbidden',
  [deadLetterReasons.forbidden]: 'forbidden',
}

// The scenarios' tokens live five minutes, and so do the messages here.
const maxAgeSeconds = 300

/** Makes it. `broker` is what the protocol calls the one between; `unchallenged` says why nobody is challenged over it. */
export function brokerKit({ broker, unchallenged }: { readonly broker: 'broker' | 'server'; readonly unchallenged: string }): BrokerKit {
  let issuer: TestIssuer
  let way: Way = 'password'
  const reaching =
    (by: Way, given: Given): NonNullable<Unsupported['attempt']> =>
    async (stage): Promise<Observed> => {
      way = by
      try {
        return await stage.attempt(given)
      } finally {
        way = 'password'
      }
    }
  /** Which rights a signer has stands with the consumer, by issuer; so each set of scopes is a signer of its own. */
  const issuerOf = ({ scopes = ['orders:read'], issuer: named = issuer.issuer }: TokenFacts): string =>
    scopes.join(' ') === 'orders:read' ? named : `${named}/${scopes.join('+')}`

  const envelope = (facts: TokenFacts, address: string): string => {
    const now = Math.floor(issuer.clock.now() / 1000)
    const { subject = 'alice', audience = issuer.audience, expiresInSeconds = maxAgeSeconds, notBeforeInSeconds } = facts
    const signedAt =
      notBeforeInSeconds === undefined && expiresInSeconds !== 'never'
        ? now - maxAgeSeconds - 1 + expiresInSeconds
        : now + (notBeforeInSeconds ?? 0)
    const claims = {
      iss: issuerOf(facts),
      sub: subject,
      aud: audience,
      jti: randomUUID(),
      ...(expiresInSeconds !== 'never' && { iat: signedAt }),
      dst: address,
      dig: createHash('sha256').update(content).digest('base64url'),
      ...facts.claims,
    }
    return issuer.sign({ typ: envelopeType, ...facts.header }, claims, facts.defect)
  }

  const relayed = `a ${broker} stands between: whose certificate it saw is no fact of the message`
  const noCertificate: Unsupported = { because: relayed, observed: 'challenged' }
  const byBroker = (given: Given): Unsupported => ({
    because: `${relayed}; the ${broker} refuses it`,
    observed: 'closed',
    attempt: reaching('certificate', given),
  })
  const noWords: Unsupported = { because: unchallenged, observed: 'challenged', attempt: (stage) => stage.attempt({ presents: [] }) }
  const notLive: Unsupported = {
    because: 'each message is judged on its own; there is no connection between its two ends that could end or be renewed',
    observed: 'challenged',
    attempt: (stage) => stage.attempt({ presents: [{ token: { expiresInSeconds: -60 } }] }),
  }
  const noProof: Unsupported = {
    because: 'RFC 9449 section 4.2: a proof names an HTTP method and URI; the signature of a message covers the message itself',
    observed: 'challenged',
    attempt: (stage) => stage.attempt({ presents: [{ raw: 'DPoP token' }] }),
  }
  return {
    way: () => way,
    mechanism({ issuer: given, keys: from }) {
      issuer = given
      const keys = from === 'document' ? { jwks: issuer.jwks } : { jwksUri: from.unreachable }
      const signer = (name: string, ...scopes: string[]) => ({
        issuer: name,
        keys,
        subjects: 'any' as const,
        ...(scopes.length > 0 && { scopes: scopes as [string, ...string[]] }),
      })
      return signedMessages({
        audience: issuer.audience,
        signers: [
          signer(issuer.issuer, 'orders:read'),
          signer(`${issuer.issuer}/`),
          signer(`${issuer.issuer}/orders+orders:readall`, 'orders', 'orders:readall'),
          signer(`${issuer.issuer}/orders:read+orders:write`, 'orders:read', 'orders:write'),
        ],
        maxAgeMs: maxAgeSeconds * 1000,
        clock: issuer.clock,
      })
    },
    header({ credential, facts, text, place }, address) {
      const name = place === 'second' ? 'Portcullis-Identity' : 'portcullis-identity'
      // What is bound to a key is an access token and no message's signature, so it is sent as the token that it is.
      const access = facts?.confirmation !== undefined && credential?.kind === 'bearer' ? credential.token.reveal() : undefined
      return [name, access ?? (facts === undefined ? text : envelope(facts, address))]
    },
    signer:
      (source) =>
      async ({ target, binding }) => {
        const { credential } = await source({ target })
        const token = credentialOf([credential], 'bearer')?.token.reveal() ?? ''
        const { sub, exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string; exp: number }
        const { uri, message } = binding
        const facts: TokenFacts = {
          subject: sub,
          expiresInSeconds: exp - Math.floor(issuer.clock.now() / 1000),
          ...(message?.id !== undefined && { claims: { jti: message.id } }),
        }
        return { credential: { kind: 'envelope', carrier: 'message', envelope: envelope(facts, uri) } }
      },
    unsupported: {
      'credential.challengeNamesScheme': noWords,
      'policy.secondFactorPresent': noCertificate,
      'channel.certificate': noCertificate,
      'channel.certificateMissing': byBroker({}),
      'channel.certificateForeign': byBroker({ certificate: 'foreign' }),
      'channel.certificateExpired': byBroker({ certificate: 'expired' }),
      'channel.certificateUsage': byBroker({ certificate: 'serverOnly' }),
      'channel.boundToThis': noCertificate,
      'channel.boundToOther': noCertificate,
      'channel.boundToNone': noCertificate,
      'channel.swap': {
        because: `the ${broker}'s certificate is exchanged at the ${broker}, and no part of this adapter serves one`,
        observed: 'closed',
        attempt: reaching('kitTrust', {}),
      },
      'client.certificate': noCertificate,
      'client.untrustedServer': {
        because: `the ${broker} has a certificate of its own and not the kit's; a client that trusts the kit's authority alone refuses it`,
        observed: 'clientRefused',
        attempt: reaching('kitTrust', { by: 'client' }),
      },
      'client.wrongHostName': {
        because: `the ${broker} has a certificate of its own and not the kit's; a client that expects another name refuses it`,
        observed: 'clientRefused',
        attempt: reaching('otherName', { by: 'client' }),
      },
      'client.oneRefresh': noWords,
      'client.renewal': notLive,
      'proof.sound': noProof,
      'proof.otherTarget': noProof,
      'proof.replayed': noProof,
      'live.expiry': notLive,
      'live.clockStep': notLive,
      'live.revocation': notLive,
      'live.revocationOfAnother': notLive,
      'live.reauthentication': notLive,
      'live.otherSubject': notLive,
      'live.refusedReauthentication': notLive,
      'live.scopeLost': notLive,
      'live.policyChange': notLive,
      'live.certificate': notLive,
    },
  }
}
