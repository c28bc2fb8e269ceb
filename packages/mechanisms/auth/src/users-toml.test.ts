import { describe, expect, it } from 'vitest'
import type { UserEntry } from './user-entry.ts'
import { defaultUserTables, readUsers } from './users-toml.ts'

function read(text: string, tables = defaultUserTables): { users: Map<string, UserEntry>; slices: number } {
  const reading = readUsers('users.toml', text, tables)
  for (let slices = 0; ; slices++) {
    const step = reading.next()
    if (step.done === true) return { users: step.value, slices }
  }
}
const code = (expected: string): unknown => expect.objectContaining({ code: expected, family: 'configuration' })
const tom = { username: 'tom', password: 'p', scopes: ['hello', 'admin'] }

describe('readUsers', () => {
  it.each([
    ['a list', '[[users]]\nusername = "tom"\npassword = "p"\nscopes = ["hello", "admin"]'],
    [
      'the list of Ballerina Swan Lake, among other tables',
      'title = "x"\n[server]\nport = 1\n[[ballerina.auth.users]]\nusername="tom"\npassword="p"\nscopes=["hello","admin"]\n[other]\na=1',
    ],
    ['a table per user', '[users.tom]\npassword = "p"\nscopes = ["hello", "admin"]'],
    ['the tables of Ballerina 1.2, with scopes in one text', '[b7a.users.tom]\npassword="p"\nscopes="hello, admin"'],
    ['inline tables', '[users]\ntom = { password = "p", scopes = ["hello", "admin"] }'],
    [
      'a byte order mark left out, and line ends of Windows',
      '[[users]]\r\nusername = "tom"\r\npassword = "p"\r\nscopes = ["hello", "admin"]\r\n',
    ],
  ])('reads %s', (_, text) => {
    expect([...read(text).users.values()]).toEqual([tom])
  })

  it('reads a table of another name, and then no other', () => {
    const text = '[[staff.people]]\nusername="tom"\npassword="p"\nscopes=["hello","admin"]\n[[users]]\nusername="ann"\npassword="p"'
    expect([...read(text, ['staff.people']).users.values()]).toEqual([tom])
  })

  it('reads quoted names, also dangerous ones', () => {
    const { users } = read('[users."tom@example.com"]\npassword="p"\n[users."__proto__"]\npassword="q"\n[users."jürgen"]\npassword="r"')
    expect([...users.keys()]).toEqual(['tom@example.com', '__proto__', 'jürgen'])
    expect(users.get('__proto__')).toEqual({ username: '__proto__', password: 'q', scopes: [] })
  })

  it.each([
    ['a broken line', '[[users]]\nusername = "tom', 'ERR_USER_STORE_MALFORMED'],
    ['a user without a password', '[[users]]\nusername = "tom"', 'ERR_USER_STORE_MALFORMED'],
    ['an empty password', '[[users]]\nusername = "tom"\npassword = ""', 'ERR_USER_STORE_MALFORMED'],
    ['a user without a name', '[[users]]\npassword = "p"', 'ERR_USER_STORE_MALFORMED'],
    ['an empty name', '[[users]]\nusername = ""\npassword = "p"', 'ERR_USER_STORE_MALFORMED'],
    ['a control character in a name', '[users."to\\u0000m"]\npassword = "p"', 'ERR_USER_STORE_MALFORMED'],
    ['a name beside the key of a table', '[users.tom]\nusername = "ann"\npassword = "p"', 'ERR_USER_STORE_MALFORMED'],
    ['a misspelt field', '[[users]]\nusername = "tom"\npassword = "p"\nscope = ["admin"]', 'ERR_USER_STORE_MALFORMED'],
    ['scopes that are no texts', '[[users]]\nusername = "tom"\npassword = "p"\nscopes = [1]', 'ERR_USER_STORE_MALFORMED'],
    ['an empty scope', '[[users]]\nusername = "tom"\npassword = "p"\nscopes = "a,,b"', 'ERR_USER_STORE_MALFORMED'],
    ['users that are a number', 'users = 7', 'ERR_USER_STORE_MALFORMED'],
    ['a user that is a text', '[users]\ntom = "p"', 'ERR_USER_STORE_MALFORMED'],
    ['a user twice', '[[users]]\nusername = "tom"\npassword = "p"\n[[users]]\nusername = "tom"\npassword = "q"', 'ERR_USER_DUPLICATE'],
    ['a user twice in two tables', '[users.tom]\npassword = "p"\n[b7a.users.tom]\npassword = "q"', 'ERR_USER_DUPLICATE'],
    ['both shapes', '[[users]]\nusername = "tom"\npassword = "p"\n[b7a.users.ann]\npassword = "q"', 'ERR_USER_STORE_MALFORMED'],
    ['an empty text', '', 'ERR_USER_STORE_EMPTY'],
    ['white space', '\n\n', 'ERR_USER_STORE_EMPTY'],
    ['no users', '[server]\nport = 1', 'ERR_USER_STORE_EMPTY'],
    ['an empty list', 'users = []', 'ERR_USER_STORE_EMPTY'],
  ])('refuses %s', (_, text, expected) => {
    expect(() => read(text)).toThrow(code(expected))
  })

  it('shows no value in an error', () => {
    for (const text of [
      '[[users]]\nusername = "tom"\npassword = "tops3cret\n',
      '[[users]]\nusername = "tom"\npassword = "tops3cret"\nx = 1',
      '[[users]]\nusername = "tom"\npassword = "tops3cret"\nscopes = [true]',
    ]) {
      try {
        read(text)
        expect.unreachable()
      } catch (error) {
        expect(String(error)).not.toContain('tops3cret')
        expect(String((error as Error).cause)).not.toContain('tops3cret')
      }
    }
  })

  describe('a large text', () => {
    const user = (n: number, more = ''): string => `[[users]]\nusername = "user${n}"\npassword = "${'x'.repeat(90)}"\n${more}\n`
    const many = (from: number, to: number): string => Array.from({ length: to - from }, (_, at) => user(from + at)).join('')

    it('is read in slices, and whole', () => {
      const { users, slices } = read(many(0, 5_000))
      expect(users.size).toBe(5_000)
      expect(slices).toBeGreaterThan(5)
      expect(users.get('user4999')).toMatchObject({ username: 'user4999' })
    })

    it('tells the line of a fault far down', () => {
      expect(() => read(`${many(0, 2_000)}[[users]]\nusername = "tom\n`)).toThrow(/line 8002,/)
    })

    it.each([
      ['a text of several lines', `text = """\n${'[[users]]\nusername = "ghost"\npassword = "p"\n'.repeat(5_000)}"""\n`],
      ['a literal text of several lines', `text = '''\n${'[[users]]\nusername = "ghost"\npassword = "p"\n'.repeat(5_000)}'''\n`],
      ['a list of several lines', `list = [\n${'[1],\n'.repeat(30_000)}]\n`],
    ])('is not cut inside %s', (_, inside) => {
      const { users } = read(`${inside}${many(0, 10)}`)
      expect([...users.keys()]).toEqual(Array.from({ length: 10 }, (_unused, at) => `user${at}`))
    })

    it('finds a user twice across slices, and a table that belongs to the user before', () => {
      expect(() => read(`${many(0, 2_000)}${user(0)}`)).toThrow(code('ERR_USER_DUPLICATE'))
      const filler = '# '.padEnd(70_000, 'x')
      expect(() => read(`${user(0)}${filler}\n[users.meta]\npassword = "p"\n`)).toThrow(code('ERR_USER_STORE_MALFORMED'))
    })
  })
})
