import { parseAuthorization, type AccessRequest } from '@portcullis/core'

/** A request with Basic credentials, its header read anew, as over HTTPS. */
export function login(username: string, password: string, remoteAddress = '192.0.2.7'): AccessRequest {
  const credential = parseAuthorization(`Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`)
  return {
    credentials: [credential],
    action: 'GET',
    resource: '/',
    attributes: {},
    channel: { from: 'peer', protocol: 'https', secure: true, remoteAddress },
  }
}
