import { requireFunction, wait } from '@portcullis/core'
import * as oauth from 'oauth4webapi'
import { answerError } from './answer-error.ts'
import { requireServer } from './authorization-server.ts'
import { requireClient, type ClientAuthentication } from './client-authentication.ts'
import { OAuthRefusal, outage } from './errors.ts'
import { afterAuthorization, isHttps } from './login.ts'
import { continued } from './rotation.ts'
import { formOf, wantedByOrigin } from './token-parameters.ts'
import { clientAuth, type TokenAnswer } from './token-request.ts'
import { checkGrantOptions, onlyOrigin, tokenSource, type Ask, type GrantOptions, type TokenSource } from './token-source.ts'

/** What the user is to do, on a device of theirs. */
export interface UserCode {
  readonly userCode: string
  readonly verificationUri: string
  /** The same with the code in it, if the server offers that. */
  readonly verificationUriComplete: string | undefined
  readonly expiresAt: Date
}

/** How {@link deviceAuthorization} is set up. */
export interface DeviceAuthorizationOptions extends GrantOptions {
  readonly client: ClientAuthentication
  /** Shows the code to the user. */
  readonly onUserCode: (code: UserCode) => void | Promise<void>
}

// RFC 8628 section 3.2 and 3.5: unless the server says otherwise, and so much more each time it asks for patience.
const defaultIntervalSeconds = 5
const slowDownSeconds = 5
// What a server may ask for; more would be no waiting but hanging.
const maxIntervalSeconds = 60
const maxCodeSeconds = 3_600

/**
 * A source of tokens of a user who logs in on another device (RFC 8628), for programs without a browser. The first
 * request shows the code and waits until the user is done; later ones use the refresh token. It has one target.
 *
 * Rejects with `ERR_OAUTH_LOGIN_FAILED` where the user refuses, `ERR_OAUTH_LOGIN_TIMEOUT` where the code expires.
 */
export function deviceAuthorization(options: DeviceAuthorizationOptions): TokenSource {
  checkGrantOptions<DeviceAuthorizationOptions>('deviceAuthorization', options, { client: true, onUserCode: true })
  const server = requireServer('deviceAuthorization', options.server)
  server.requireEndpoint('deviceAuthorization', 'deviceAuthorization')
  const client = requireClient('deviceAuthorization', options.client)
  const onUserCode = requireFunction('deviceAuthorization onUserCode', options.onUserCode)
  const origin = onlyOrigin('deviceAuthorization', options.targets)
  const wanted = wantedByOrigin('deviceAuthorization', options.targets, options).get(origin) ?? { scope: undefined, pairs: [] }
  const { clock } = server

  const authorize = async (signal: AbortSignal | undefined): Promise<oauth.DeviceAuthorizationResponse> => {
    const registered: oauth.Client = { client_id: client.clientId }
    try {
      const metadata = await server.metadata('deviceAuthorization', signal)
      const response = await oauth.deviceAuthorizationRequest(
        metadata,
        registered,
        clientAuth(server, client),
        formOf(wanted, { client_id: client.clientId }),
        server.callOptions(signal),
      )
      return await oauth.processDeviceAuthorizationResponse(metadata, registered, response)
    } catch (error) {
      throw answerError(server.issuer, error)
    }
  }

  const poll = async (ask: Ask, code: oauth.DeviceAuthorizationResponse, signal: AbortSignal | undefined): Promise<TokenAnswer> => {
    const untilMs = clock.now() + Math.min(code.expires_in, maxCodeSeconds) * 1000
    let intervalSeconds = code.interval ?? defaultIntervalSeconds
    while (clock.now() < untilMs) {
      await wait(clock, Math.min(Math.max(1, intervalSeconds), maxIntervalSeconds) * 1000, signal)
      try {
        return await ask('urn:ietf:params:oauth:grant-type:device_code', { device_code: code.device_code }, afterAuthorization)
      } catch (error) {
        const reason = error instanceof OAuthRefusal ? error.error : ''
        if (reason === 'access_denied') throw outage('ERR_OAUTH_LOGIN_FAILED', 'The user refused.', error)
        if (reason === 'expired_token') break
        if (reason === 'slow_down') intervalSeconds += slowDownSeconds
        // RFC 8628 section 3.5: a connection that fails is a reason to wait longer, not to give up.
        else if (!(error instanceof OAuthRefusal)) intervalSeconds *= 2
        else if (reason !== 'authorization_pending') throw error
        if (signal?.aborted) throw error
      }
    }
    throw outage('ERR_OAUTH_LOGIN_TIMEOUT', 'The code expired before the user had logged in.')
  }

  return tokenSource(
    'deviceAuthorization',
    options,
    client,
    continued(async (ask, { signal }) => {
      const code = await authorize(signal)
      for (const address of [code.verification_uri, code.verification_uri_complete]) {
        if (address !== undefined && !isHttps(address))
          throw outage('ERR_OAUTH_ANSWER_INVALID', `${server.issuer} gave an address to log in at that is no https URL.`)
      }
      await onUserCode({
        userCode: code.user_code,
        verificationUri: code.verification_uri,
        verificationUriComplete: code.verification_uri_complete,
        expiresAt: new Date(clock.now() + code.expires_in * 1000),
      })
      return poll(ask, code, signal)
    }),
  )
}
