import { connect, type CredentialSource } from '@portcullis/websocket'
import type { ClientTlsBundle } from '@portcullis/tls'

/** Connects, asks for order 7, and gives the answer; or the code of the error, if it comes to none. */
export async function ask(url: string, tls: ClientTlsBundle, credentials?: CredentialSource): Promise<string> {
  const answer = Promise.withResolvers<string | Buffer>()
  try {
    await using client = await connect({ url, tls, ...(credentials && { credentials }), onMessage: answer.resolve })
    await client.send('7')
    return String(await answer.promise)
  } catch (error) {
    return (error as { readonly code: string }).code
  }
}
