import { X509Certificate, createPrivateKey } from 'node:crypto'
import { expect, test } from 'vitest'
import { createPki, openPki } from './pki.ts'

test('issues certificates that its own authority signed, and no other', () => {
  const [pki, foreign] = [createPki(), createPki({ name: 'Foreign CA' })]
  const alice = pki.issue({ name: 'alice', email: ['alice@avix.test'], uri: ['spiffe://avix.test/alice'] })
  const certificate = new X509Certificate(alice.certificate)
  expect(certificate.subject).toBe('O=Portcullis tests\nCN=alice')
  expect(certificate.subjectAltName).toBe('email:alice@avix.test, URI:spiffe://avix.test/alice')
  expect(certificate.checkPrivateKey(createPrivateKey(alice.key))).toBe(true)
  expect(certificate.verify(new X509Certificate(pki.ca.certificate).publicKey)).toBe(true)
  expect(certificate.verify(new X509Certificate(foreign.ca.certificate).publicKey)).toBe(false)
  expect(new X509Certificate(pki.server.certificate).checkIP('127.0.0.1')).toBe('127.0.0.1')
})

test('makes expired certificates, and finds its own again from another process', () => {
  const pki = createPki()
  const old = pki.issue({ name: 'old', validFrom: new Date('2025-01-01T00:00:00Z'), validTo: new Date('2025-02-01T00:00:00Z') })
  expect(new Date(new X509Certificate(old.certificate).validTo)).toEqual(new Date('2025-02-01T00:00:00Z'))
  const again = openPki(pki.directory)
  expect(again.issue({ name: 'old' })).toEqual(old)
  expect(again.server).toEqual(pki.server)
})
