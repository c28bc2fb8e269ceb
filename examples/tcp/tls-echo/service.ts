import { everyone, guard, serve } from '@portcullis/tcp'
import { developmentTls } from '@portcullis/tcp/development'
import { signedTokens } from '../../mechanisms/jwt.ts'

/** Two listeners that send back what they get: one for everyone, one for holders of a token in the first line. */
export async function start() {
  const tls = await developmentTls()
  const { orders, issuer } = signedTokens()
  // A certificate is not demanded here: whoever has none is everyone.
  const open = await serve({ tls, guard: guard({ authenticate: everyone() }), credentials: 'certificate' }, ({ socket }) => {
    socket.pipe(socket)
  })
  const closed = await serve({ tls, guard: orders, credentials: 'firstLine' }, ({ socket }, principal) => {
    socket.write(`${principal.subject}: `)
    socket.pipe(socket)
  })
  const close = async (): Promise<void> => {
    await open.close()
    await closed.close()
  }
  return { tls, open: open.port, closed: closed.port, issuer, close }
}
