import { relative } from 'node:path'
import { createDevelopmentCertificates } from '@portcullis/tls/development'
import { columns, command } from '../command.ts'
import { print } from '../terminal.ts'

const defaultDirectory = 'certificates'

/** `portcullis certs create` */
export const certsCreate = command({
  name: 'certs create',
  summary: 'Makes a development authority and certificates of it, for this machine alone.',
  details: `The authority can only name localhost, what lies below it and loopback addresses, and ends after 30 days.
The folder is kept out of Git; what the system trusts is not touched.`,
  options: {
    directory: { type: 'string', value: 'DIR', help: `A folder of its own. Default: ${defaultDirectory}.` },
    name: {
      type: 'string',
      value: 'NAME',
      multiple: true,
      help: 'A name of the server. Default: localhost; 127.0.0.1 and ::1 are always among them.',
    },
    client: { type: 'string', value: 'NAME', multiple: true, help: 'A client to make a certificate for, too.' },
    'keep-ca-key': { type: 'boolean', help: "Keeps the authority's key. Without it nobody can issue more in its name." },
  },
  async run({ directory = defaultDirectory, name, client = [], 'keep-ca-key': keepCaKey = false, json }, _argument, terminal) {
    const made = await createDevelopmentCertificates({ directory, clients: client, keepCaKey, ...(name && { names: name }) })
    const { authority, authorityKey, server, expiresAt } = made
    const clients = Object.fromEntries(made.clients)
    const here = (path: string): string => relative('.', path)
    const rows = [
      ['authority', here(authority)],
      ...(authorityKey === undefined ? [] : [['authority key', here(authorityKey)] as const]),
      ['server', `${here(server.certificate)}, ${here(server.key)}`],
      ...Object.entries(clients).map(([who, files]) => [`client ${who}`, `${here(files.certificate)}, ${here(files.key)}`] as const),
      ['valid until', expiresAt.toISOString()],
    ] as const
    await print(
      terminal,
      json,
      { authority, ...(authorityKey !== undefined && { authorityKey }), server, clients, expiresAt: expiresAt.toISOString() },
      columns(rows),
    )
    return 0
  },
})
