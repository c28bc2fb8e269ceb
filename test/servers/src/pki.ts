import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { pathOf } from './locate.ts'
import { privateFolder } from './folder.ts'

/** A certificate with its key: as PEM text for a client in this process, as files for a foreign one. */
export interface Identity {
  readonly name: string
  readonly certificate: string
  readonly certificateFile: string
  readonly key: string
  readonly keyFile: string
}

export interface IssueOptions {
  /** Common name, and the name of the files. Issued before under the same name: the same identity is returned. */
  name: string
  /** Organization; lets two identities share a common name. */
  organization?: string
  dns?: readonly string[]
  ip?: readonly string[]
  email?: readonly string[]
  uri?: readonly string[]
  /** Default a minute ago. */
  validFrom?: Date
  /** Default in two days. Both in the past make a certificate that has expired. */
  validTo?: Date
}

/** A throw-away certificate authority in a folder of its own. Keys are EC P-256, unencrypted: for tests on loopback and nothing else. */
export interface Pki {
  readonly directory: string
  readonly ca: { readonly certificate: string; readonly certificateFile: string }
  /** For servers on loopback: `localhost`, `127.0.0.1` and `::1`. */
  readonly server: Identity
  /** Issues a certificate fit for both ends of a connection. */
  issue(options: IssueOptions): Identity
}

/** Makes a new authority. A second call makes one that the first knows nothing of: the foreign CA of a negative test. */
export function createPki(options: { name?: string; directory?: string } = {}): Pki {
  const directory = options.directory ?? privateFolder('pki')
  mkdirSync(directory, { recursive: true })
  const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']
  openssl([
    'req',
    '-x509',
    '-sha256',
    ...newKey(directory, 'ca.key'),
    '-out',
    path.join(directory, 'ca.crt'),
    '-days',
    '2',
    '-subj',
    `/O=Portcullis tests/CN=${options.name ?? 'Test CA'}`,
    ...addext(extensions),
  ])
  return openPki(directory)
}

/** Opens an authority that another process made: how the servers of one run and all its tests come to trust the same one. */
export function openPki(directory: string): Pki {
  const certificateFile = path.join(directory, 'ca.crt')
  const issue = (options: IssueOptions): Identity => issueFrom(directory, options)
  return {
    directory,
    ca: { certificate: readFileSync(certificateFile, 'utf8'), certificateFile },
    server: issue({ name: 'localhost', dns: ['localhost'], ip: ['127.0.0.1', '::1'] }),
    issue,
  }
}

function issueFrom(directory: string, options: IssueOptions): Identity {
  const { name } = options
  if (!/^[A-Za-z0-9][\w.@-]*$/.test(name)) throw new Error(`not a file name: ${JSON.stringify(name)}`)
  const folder = path.join(directory, name)
  if (!existsSync(folder)) {
    const draft = mkdtempSync(path.join(directory, '.draft-'))
    issueInto(draft, directory, options)
    try {
      // In one step, so that a test in another process sees a certificate with its own key or none.
      renameSync(draft, folder)
    } catch {
      rmSync(draft, { recursive: true, force: true })
    }
  }
  const [certificateFile, keyFile] = [path.join(folder, 'certificate.pem'), path.join(folder, 'key.pem')]
  return { name, certificate: readFileSync(certificateFile, 'utf8'), certificateFile, key: readFileSync(keyFile, 'utf8'), keyFile }
}

function issueInto(draft: string, directory: string, options: IssueOptions): void {
  const { name, organization = 'Portcullis tests', dns = [], ip = [], email = [], uri = [] } = options
  const names = [
    ...dns.map((x) => `DNS:${x}`),
    ...ip.map((x) => `IP:${x}`),
    ...email.map((x) => `email:${x}`),
    ...uri.map((x) => `URI:${x}`),
  ]
  const extensions = ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature', 'extendedKeyUsage=serverAuth,clientAuth']
  if (names.length > 0) extensions.push(`subjectAltName=${names.join(',')}`)
  const subject = ['-subj', `/O=${organization}/CN=${name}`]
  openssl(['req', '-new', ...newKey(draft, 'key.pem'), '-out', path.join(draft, 'request.pem'), ...subject, ...addext(extensions)])

  // `openssl ca` and not `openssl x509`, which cannot make a certificate that has expired.
  const config = path.join(draft, 'ca.cnf')
  writeFileSync(path.join(draft, 'index.txt'), '')
  writeFileSync(config, caConfig(draft))
  const from = options.validFrom ?? new Date(Date.now() - 60_000)
  const to = options.validTo ?? new Date(Date.now() + 2 * dayMs)
  const signedBy = ['-cert', path.join(directory, 'ca.crt'), '-keyfile', path.join(directory, 'ca.key')]
  const dates = ['-startdate', asn1Time(from), '-enddate', asn1Time(to)]
  const files = ['-in', path.join(draft, 'request.pem'), '-out', path.join(draft, 'certificate.pem')]
  openssl(['ca', '-batch', '-notext', '-config', config, ...signedBy, ...dates, ...files])
}

const dayMs = 86_400_000

function caConfig(draft: string): string {
  const section = [
    `database=${draft}/index.txt`,
    `new_certs_dir=${draft}`,
    'default_md=sha256',
    'rand_serial=yes',
    'copy_extensions=copyall',
  ]
  return `[ca]\ndefault_ca=d\n[d]\n${section.join('\n')}\npolicy=p\n[p]\nO=optional\nCN=supplied\n`
}

function asn1Time(date: Date): string {
  return `${date
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replace(/[-:T]/g, '')}Z`
}

function newKey(directory: string, file: string): string[] {
  const config = path.join(directory, 'openssl.cnf')
  // The system's own configuration would add extensions of its own to those asked for here.
  writeFileSync(config, '[req]\ndistinguished_name = dn\n[dn]\n')
  return ['-config', config, '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', path.join(directory, file)]
}

function addext(extensions: readonly string[]): string[] {
  return extensions.flatMap((extension) => ['-addext', extension])
}

function openssl(args: readonly string[]): void {
  execFileSync(pathOf('openssl', 'openssl'), args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: 20_000 })
}
