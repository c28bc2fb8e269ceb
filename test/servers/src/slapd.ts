import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { pathOf } from './locate.ts'
import type { Pki } from './pki.ts'
import { freePort, isListening } from './ports.ts'
import { type Running, type ServerOptions, ground, launchServer, uniqueName } from './server.ts'
import { defaultDirectory, ssha } from './slapd-directory.ts'

export interface SlapdOptions extends ServerOptions {
  /** What the directory holds at first; must contain the suffix's own entry. Default: two users and their groups below `dc=avix,dc=lk`. */
  ldif?: string
  /** Default `dc=avix,dc=lk`. */
  suffix?: string
  /** Strength that a simple bind needs of its channel, in bits. Default 128: a bind in the clear is refused with result code 13. */
  simpleBindStrength?: number
  /** Lines for slapd.conf, before the database. */
  extraConfig?: string
}

export interface SlapdFacts {
  /** Offers StartTLS. */
  readonly ldapUrl: string
  readonly ldapPort: number
  readonly ldapsUrl: string
  readonly ldapsPort: number
  readonly suffix: string
  readonly adminDn: string
  readonly adminPassword: string
  /** Bind name and password of the default directory's users. */
  readonly users: Readonly<Record<string, { readonly dn: string; readonly password: string }>>
  readonly pki: Pki
}

export interface SlapdMethods {
  /** Applies LDIF as the administrator: entries to add, or changes with a `changetype`. */
  modify(ldif: string): Promise<void>
  /** Adds an organizational unit that no other test has, and returns its name. */
  namespace(): Promise<string>
}

export type Slapd = SlapdFacts & SlapdMethods & Running

/** Starts OpenLDAP with one database. Takes about 100 ms. */
export async function startSlapd(options: SlapdOptions = {}): Promise<Slapd> {
  const command = pathOf('slapd', 'slapd')
  const { directory, pki } = ground('slapd', options)
  const [ldapPort, ldapsPort] = [await freePort(), await freePort()]
  const suffix = options.suffix ?? 'dc=avix,dc=lk'
  const [adminDn, adminPassword] = [`cn=admin,${suffix}`, randomBytes(9).toString('base64url')]
  const config = path.join(directory, 'slapd.conf')
  mkdirSync(path.join(directory, 'data'))
  writeFileSync(config, slapdConfig({ directory, pki, suffix, adminDn, adminPassword }, options), { mode: 0o600 })
  const first = defaultDirectory(suffix)

  // The numeric host keeps slapd from asking the resolver for a name it might find elsewhere.
  const [ldapUrl, ldapsUrl] = [`ldap://127.0.0.1:${ldapPort}`, `ldaps://127.0.0.1:${ldapsPort}`]
  const running = await launchServer({
    name: 'slapd',
    command,
    // `-d stats`: in the foreground, each bind and search in the log.
    args: ['-d', 'stats', '-f', config, '-h', `${ldapUrl} ${ldapsUrl}`],
    directory,
    ready: () => isListening(ldapsPort),
    readyWithinMs: 20_000,
  })
  const users = options.ldif === undefined ? first.users : {}
  const started = slapdOf({ ldapUrl, ldapPort, ldapsUrl, ldapsPort, suffix, adminDn, adminPassword, users, pki })
  try {
    // Not by slapadd, which would leave out what the memberof overlay adds.
    await started.modify(options.ldif ?? first.ldif)
  } catch (error) {
    await running[Symbol.asyncDispose]()
    throw error
  }
  return Object.assign(running, started)
}

/** What can be done with a directory that runs already. */
export function slapdOf(facts: SlapdFacts): SlapdFacts & SlapdMethods {
  const modify = async (ldif: string): Promise<void> => {
    const args = ['-a', '-x', '-H', facts.ldapsUrl, '-D', facts.adminDn, '-w', facts.adminPassword]
    const env = { ...process.env, LDAPTLS_CACERT: facts.pki.ca.certificateFile }
    const done = promisify(execFile)(pathOf('ldap-utils', 'ldapmodify'), args, { env, timeout: 20_000 })
    done.child.stdin?.end(ldif)
    await done
  }
  return {
    ...facts,
    modify,
    namespace: async () => {
      const ou = uniqueName('ou')
      await modify(`dn: ou=${ou},${facts.suffix}\nobjectClass: organizationalUnit\nou: ${ou}\n`)
      return `ou=${ou},${facts.suffix}`
    },
  }
}

function slapdConfig(
  made: { directory: string; pki: Pki; suffix: string; adminDn: string; adminPassword: string },
  options: SlapdOptions,
): string {
  const { directory, pki, suffix, adminDn, adminPassword } = made
  const schema = pathOf('slapd', 'schema')
  return `${['core', 'cosine', 'nis', 'inetorgperson'].map((name) => `include ${schema}/${name}.schema`).join('\n')}
modulepath ${pathOf('slapd', 'modules')}
moduleload back_mdb
moduleload memberof
moduleload refint
TLSCACertificateFile ${pki.ca.certificateFile}
TLSCertificateFile ${pki.server.certificateFile}
TLSCertificateKeyFile ${pki.server.keyFile}
TLSVerifyClient try
TLSProtocolMin 3.3
authz-regexp "cn=([^,]+),o=Portcullis tests" "uid=$1,ou=users,${suffix}"
security simple_bind=${options.simpleBindStrength ?? 128}
${options.extraConfig ?? ''}
database mdb
suffix "${suffix}"
rootdn "${adminDn}"
rootpw ${ssha(adminPassword)}
directory ${path.join(directory, 'data')}
maxsize 104857600
dbnosync
index objectClass,uid,cn,member,memberOf,memberUid eq
overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
memberof-memberof-ad memberOf
overlay refint
refint_attributes memberOf member
access to attrs=userPassword by self write by anonymous auth by * none
access to * by self write by users read by anonymous none
`
}
