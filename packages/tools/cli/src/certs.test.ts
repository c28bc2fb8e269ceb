import { X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { tlsBundle } from '@portcullis/tls'
import { afterAll, describe, expect, it } from 'vitest'
import { Folder, portcullis } from './process.test-support.ts'

const folder = new Folder()
afterAll(() => folder[Symbol.dispose]())

describe('certs create', () => {
  it('writes what a server and a client need', async () => {
    const made = await portcullis(
      ['certs', 'create', '--name', 'orders.localhost', '--client', 'alice', '--client', 'bob', '--json'],
      '',
      folder.path,
    )
    expect(made).toMatchObject({ code: 0, stderr: '' })
    const result = JSON.parse(made.stdout) as {
      authority: string
      server: { certificate: string; key: string }
      clients: Record<string, { certificate: string; key: string }>
    }
    expect(Object.keys(result.clients)).toEqual(['alice', 'bob'])
    expect(result).not.toHaveProperty('authorityKey')
    const directory = join(folder.path, 'certificates')
    for (const file of readdirSync(directory)) expect(statSync(join(directory, file)).mode & 0o077).toBe(0)
    expect(readFileSync(join(directory, '.gitignore'), 'utf8')).toBe('*\n')
    expect(existsSync(join(directory, 'authority.key'))).toBe(false)
    const certificate = new X509Certificate(readFileSync(result.server.certificate))
    expect(certificate.checkHost('orders.localhost')).toBe('orders.localhost')
    const bundle = await tlsBundle({
      side: 'server',
      identity: { key: { pemFile: result.server.key }, certificates: { pemFile: result.server.certificate } },
      clientCertificates: { accept: { development: { pemFile: result.authority } } },
    })
    bundle.close()
  })

  it('tells where, and keeps the key of the authority where it is asked to', async () => {
    const { code, stdout } = await portcullis(['certs', 'create', '--directory', 'other', '--keep-ca-key'], '', folder.path)
    expect(code).toBe(0)
    expect(stdout).toContain(join('other', 'server.crt'))
    expect(existsSync(join(folder.path, 'other', 'authority.key'))).toBe(true)
  })

  it.each([
    ['names of others', ['--name', 'orders.example']],
    ['clients whose names go elsewhere', ['--client', '../x']],
    ['a folder with other files', ['--directory', '.']],
  ])('refuses %s', async (_what, args) => {
    folder.write('mine', '')
    expect(await portcullis(['certs', 'create', ...args], '', folder.path)).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^ERR_OPTION_INVALID: /),
    })
  })
})
