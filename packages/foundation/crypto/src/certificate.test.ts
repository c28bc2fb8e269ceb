import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import { keyUsages, parseCertificate, parseCertificates } from './certificate.ts'
import { readChildren, readSequence, readValue } from './der.ts'
import { formatName, nameValues } from './distinguished-name.ts'
import { der, openssl, refusal, temporaryFolder } from './openssl.test-support.ts'

const folder = temporaryFolder()

beforeAll(async () => {
  await openssl(folder, 'ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', 'key.pem')
})

/** A self-signed certificate with this subject and these extensions, in the words of openssl's configuration. */
async function make(subject: string, extensions: string): Promise<X509Certificate> {
  writeFileSync(
    join(folder, 'make.cnf'),
    `[req]\nprompt = no\nutf8 = yes\nstring_mask = utf8only\ndistinguished_name = dn\nx509_extensions = ext\n[dn]\n${subject}\n[ext]\n${extensions}\n`,
  )
  await openssl(folder, 'req', '-x509', '-new', '-key', 'key.pem', '-config', 'make.cnf', '-days', '10', '-out', 'made.pem')
  return new X509Certificate(readFileSync(join(folder, 'made.pem')))
}

describe('names', () => {
  test('every alternative name, decoded one by one', async () => {
    const x509 = await make(
      'CN = orders',
      'subjectAltName = @alt\n[alt]\nDNS.1 = a.example\nDNS.2 = *.b.example\nemail.1 = x@example.com\nURI.1 = spiffe://example.org/orders\nIP.1 = 192.0.2.7\nIP.2 = 2001:db8::1\notherName.1 = 1.2.3.4;UTF8:ignored\ndirName.1 = dir\n[dir]\nCN = inside',
    )
    const { directory, ...names } = parseCertificate(x509).subjectAltNames
    expect(names).toEqual({
      dns: ['a.example', '*.b.example'],
      email: ['x@example.com'],
      uri: ['spiffe://example.org/orders'],
      ip: ['192.0.2.7', '2001:db8:0:0:0:0:0:1'],
      others: 1,
    })
    expect(directory.map(formatName)).toEqual(['CN=inside'])
  })

  test('a name that looks like two stays one', async () => {
    const x509 = await make('CN = x', 'subjectAltName = @alt\n[alt]\nDNS.1 = a, DNS:b\nURI.1 = "http://a/, DNS:c"')
    const { dns, uri } = parseCertificate(x509).subjectAltNames
    expect(dns).toEqual(['a, DNS:b'])
    expect(uri).toHaveLength(1)
    expect(uri[0]).toContain(', DNS:c')
  })

  test('a NUL, other control characters, bytes beyond ASCII, an empty name', async () => {
    const bad = [Buffer.from('a\0.b'), Buffer.from('a\nb'), Buffer.from('bücher.example'), Buffer.alloc(0)]
    for (const name of bad) {
      const x509 = await make('CN = x', `subjectAltName = DER:${der(0x30, der(0x82, name)).toString('hex')}`)
      await refusal('ERR_CRYPTO_CERTIFICATE_MALFORMED', () => parseCertificate(x509))
    }
  })

  test('an address of a wrong length', async () => {
    const x509 = await make('CN = x', `subjectAltName = DER:${der(0x30, der(0x87, [1, 2, 3])).toString('hex')}`)
    await refusal('ERR_CRYPTO_CERTIFICATE_MALFORMED', () => parseCertificate(x509))
  })

  test('more names than any sound certificate has', async () => {
    const many = Array.from({ length: 2049 }, () => der(0x82, Buffer.from('a')))
    const x509 = await make('CN = x', `subjectAltName = DER:${der(0x30, ...many).toString('hex')}`)
    await refusal('ERR_CRYPTO_INPUT_TOO_LARGE', () => parseCertificate(x509))
  })

  test('none', async () => {
    const { subjectAltNames } = parseCertificate(await make('CN = x', 'basicConstraints = CA:FALSE'))
    expect(subjectAltNames).toEqual({ dns: [], email: [], uri: [], ip: [], directory: [], others: 0 })
  })
})

describe('subject and issuer', () => {
  test('attributes in order, by type, in every string type', async () => {
    const { subject, issuer } = parseCertificate(
      await make('C = LK\nO = Exämple GmbH\n0.OU = first\n1.OU = second\nCN = orders', 'basicConstraints = CA:FALSE'),
    )
    expect(formatName(subject)).toBe('CN=orders,OU=second,OU=first,O=Exämple GmbH,C=LK')
    expect(nameValues(subject, 'OU')).toEqual(['first', 'second'])
    expect(nameValues(subject, '2.5.4.3')).toEqual(['orders'])
    expect(nameValues(subject, 'ou')).toEqual([])
    expect(formatName(issuer)).toBe(formatName(subject))
  })

  test('a value that looks like syntax stays a value', async () => {
    const honest = parseCertificate(await make('O = Example\nCN = admin', 'basicConstraints = CA:FALSE')).subject
    const forged = parseCertificate(await make('CN = "admin,O=Example"', 'basicConstraints = CA:FALSE')).subject
    expect(nameValues(forged, 'CN')).toEqual(['admin,O=Example'])
    expect(nameValues(forged, 'O')).toEqual([])
    expect(formatName(forged)).not.toBe(formatName(honest))
    expect(formatName(forged)).toBe(String.raw`CN=admin\,O\=Example`)
  })

  test('case, order and white space count', async () => {
    const subjectOf = async (lines: string) => formatName(parseCertificate(await make(lines, 'basicConstraints = CA:FALSE')).subject)
    const reference = await subjectOf('O = Example\nCN = admin')
    expect(await subjectOf('O = Example\nCN = admin')).toBe(reference)
    expect(await subjectOf('O = example\nCN = admin')).not.toBe(reference)
    expect(await subjectOf('CN = admin\nO = Example')).not.toBe(reference)
    expect(await subjectOf('O = Example\n+CN = admin')).not.toBe(reference)
    expect(await subjectOf('O = Example')).not.toBe(reference)
  })

  test('escapes of RFC 4514', () => {
    const name = (value: string) => formatName([[{ oid: '2.5.4.3', type: 'CN', value, der: '' }]])
    expect(name('#a')).toBe(String.raw`CN=\#a`)
    expect(name(' a ')).toBe(String.raw`CN=\ a\ `)
    expect(name('a+b"c;d<e>f\\')).toBe(String.raw`CN=a\+b\"c\;d\<e\>f\\`)
    expect(name('a\0b\u0085')).toBe(String.raw`CN=a\00b\c2\85`)
    expect(formatName([[{ oid: '2.5.4.45', type: '2.5.4.45', value: undefined, der: '0302' }]])).toBe('2.5.4.45=#0302')
  })

  test('text in every string type', () => {
    const text = (tag: number, content: Uint8Array) =>
      withSubject(der(0x30, der(0x31, der(0x30, der(0x06, [0x55, 4, 3]), der(tag, content)))))
    const cn = (tag: number, content: Uint8Array) => nameValues(parseCertificate(text(tag, content)).subject, 'CN')
    expect(cn(0x0c, Buffer.from('ü✓'))).toEqual(['ü✓'])
    expect(cn(0x1e, Buffer.from('00fc2713', 'hex'))).toEqual(['ü✓'])
    expect(cn(0x1c, Buffer.from('0001f600', 'hex'))).toEqual(['😀'])
    expect(cn(0x14, Buffer.from([0xfc]))).toEqual(['ü'])
    expect(cn(0x13, Buffer.from('a b'))).toEqual(['a b'])
    expect(cn(0x03, Buffer.from([0, 1]))).toEqual([])
  })

  test('bytes that their string type does not allow', async () => {
    const text = (tag: number, content: Uint8Array) =>
      withSubject(der(0x30, der(0x31, der(0x30, der(0x06, [0x55, 4, 3]), der(tag, content)))))
    const bad: [number, Uint8Array][] = [
      [0x0c, Buffer.from([0xc3])],
      [0x0c, Buffer.from([0xed, 0xa0, 0x80])],
      [0x13, Buffer.from([0xfc])],
      [0x1e, Buffer.from([0x00])],
      [0x1e, Buffer.from([0xd8, 0x00])],
      [0x1c, Buffer.from([0x00, 0x11, 0x00, 0x00])],
    ]
    for (const [tag, content] of bad) {
      const error = await refusal('ERR_CRYPTO_CERTIFICATE_MALFORMED', () => parseCertificate(text(tag, content)))
      expect(error.cause).toBeInstanceOf(Error)
    }
  })
})

/** The made certificate with another subject; its signature is wrong then, which nobody looks at here. */
function withSubject(subject: Uint8Array): Buffer {
  return rebuild((fields) => fields.with(5, subject))
}

function rebuild(change: (fields: Uint8Array[]) => Uint8Array[]): Buffer {
  const [tbs, algorithm, signature] = readSequence(readValue(new X509Certificate(readFileSync(join(folder, 'made.pem'))).raw))
  const fields = change(readChildren(tbs!).map((field) => field.bytes))
  return der(0x30, der(0x30, ...fields), algorithm!.bytes, signature!.bytes)
}

describe('extensions', () => {
  test('usages, authority, dates, thumbprint', async () => {
    const x509 = await make('CN = x', 'extendedKeyUsage = clientAuth, serverAuth, 1.2.3.4\nbasicConstraints = critical, CA:TRUE')
    const certificate = parseCertificate(x509)
    expect(certificate.extendedKeyUsages).toEqual([keyUsages.clientAuth, keyUsages.serverAuth, '1.2.3.4'])
    expect(certificate.isAuthority).toBe(true)
    expect(certificate.notBefore).toEqual(new Date(x509.validFrom))
    expect(certificate.notAfter).toEqual(new Date(x509.validTo))
    const digest = await openssl(folder, 'x509', '-in', 'made.pem', '-noout', '-fingerprint', '-sha256')
    const hex = digest.toString().split('=')[1]!.trim().replaceAll(':', '')
    expect(certificate.thumbprint).toBe(Buffer.from(hex, 'hex').toString('base64url'))
  })

  test('no usages is not an empty list', async () => {
    const certificate = parseCertificate(await make('CN = x', 'basicConstraints = critical, CA:FALSE'))
    expect(certificate.extendedKeyUsages).toBeUndefined()
    expect(certificate.isAuthority).toBe(false)
  })

  test('an extension that comes twice', async () => {
    await make('CN = x', 'subjectAltName = DNS:a')
    const twice = rebuild((fields) => {
      const extensions = readSequence(readChildren(readValue(fields.at(-1)!))[0])
      const names = extensions.map((one) => one.bytes)
      return fields.toSpliced(-1, 1, der(0xa3, der(0x30, ...names, ...names)))
    })
    const error = await refusal('ERR_CRYPTO_CERTIFICATE_MALFORMED', () => parseCertificate(twice))
    expect(error.message).toContain('twice')
  })
})

describe('sources', () => {
  test('PEM, DER and an object are the same', async () => {
    const x509 = await make('CN = x', 'subjectAltName = DNS:a')
    const pem = readFileSync(join(folder, 'made.pem'))
    const expected = parseCertificate(x509)
    for (const source of [pem, pem.toString(), x509.raw]) {
      expect(parseCertificate(source).thumbprint).toBe(expected.thumbprint)
      expect(parseCertificate(source).subject).toEqual(expected.subject)
    }
    expect(Object.isFrozen(expected)).toBe(true)
  })

  test('none, several, junk, truncated, too large', async () => {
    const x509 = await make('CN = x', 'subjectAltName = DNS:a')
    const pem = readFileSync(join(folder, 'made.pem'), 'utf8')
    await refusal('ERR_CRYPTO_CERTIFICATE_MISSING', () => parseCertificate(''))
    await refusal('ERR_CRYPTO_CERTIFICATE_MALFORMED', () => parseCertificate(pem + pem))
    await refusal('ERR_CRYPTO_CERTIFICATE_MALFORMED', () => parseCertificate(Buffer.from('3000', 'hex')))
    await refusal('ERR_CRYPTO_INPUT_TOO_LARGE', () => parseCertificate(Buffer.alloc(102_401, 0x30)))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => parseCertificate(undefined as never))
    await refusal('ERR_CRYPTO_CERTIFICATE_MALFORMED', () => parseCertificate(Buffer.concat([x509.raw, Buffer.from([0])])))
    for (let length = 1; length < x509.raw.length; length += 11) {
      await refusal('ERR_CRYPTO_CERTIFICATE_MALFORMED', () => parseCertificate(x509.raw.subarray(0, length)))
    }
  })

  test('every public authority of the runtime is readable', () => {
    const certificates = parseCertificates(rootCertificates.join('\n'))
    expect(certificates).toHaveLength(rootCertificates.length)
    for (const { x509, subject, isAuthority } of certificates) {
      expect(isAuthority).toBe(true)
      // The runtime's own rendering is a foreign reading of the same names: every text in it is one of ours.
      for (const line of x509.subject.split('\n')) {
        const value = line.slice(line.indexOf('=') + 1)
        const ours = subject.flat().map((attribute) => attribute.value)
        expect(ours.some((one) => one !== undefined && value.includes(one)) || /\\/.test(value)).toBe(true)
      }
    }
  })
})
