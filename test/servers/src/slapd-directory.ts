import { createHash, randomBytes } from 'node:crypto'

/**
 * The directory that the original's LDAP examples speak of: users in `ou=users`, groups of names in `ou=groups`; beside them a
 * POSIX group, whose members are bare user names, and a second user base with a user of the same name as one in the first.
 */
export function defaultDirectory(suffix: string): { ldif: string; users: Record<string, { dn: string; password: string }> } {
  const people = [
    { uid: 'ldclakmal', base: 'users', password: 'ldclakmal@123', surname: 'Lakmal' },
    { uid: 'alice', base: 'users', password: 'alice@123', surname: 'Liddell' },
    { uid: 'bob', base: 'users', password: 'bob@123', surname: 'Builder' },
    { uid: 'alice', base: 'partners', password: 'other-alice@123', surname: 'Other' },
    { uid: 'paula', base: 'partners', password: 'paula@123', surname: 'Partner' },
  ]
  const groups = { admin: ['ldclakmal'], developer: ['ldclakmal', 'alice'] }
  const dnOf = (uid: string, base = 'users'): string => `uid=${uid},ou=${base},${suffix}`
  const dc = /^dc=([^,]+)/.exec(suffix)?.[1] ?? 'test'
  const entries = [
    `dn: ${suffix}\nobjectClass: top\nobjectClass: dcObject\nobjectClass: organization\no: ${dc}\ndc: ${dc}`,
    ...['users', 'partners', 'groups', 'posix'].map((ou) => `dn: ou=${ou},${suffix}\nobjectClass: organizationalUnit\nou: ${ou}`),
    ...people.map(
      ({ uid, base, password, surname }) =>
        `dn: ${dnOf(uid, base)}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid}\nsn: ${surname}\nmail: ${uid}@${base}.avix.test\nuserPassword: ${ssha(password)}`,
    ),
    ...Object.entries(groups).map(
      ([cn, members]) =>
        `dn: cn=${cn},ou=groups,${suffix}\nobjectClass: groupOfNames\ncn: ${cn}\n${members.map((uid) => `member: ${dnOf(uid)}`).join('\n')}`,
    ),
    `dn: cn=operators,ou=posix,${suffix}\nobjectClass: posixGroup\ncn: operators\ngidNumber: 5000\nmemberUid: alice\nmemberUid: bob`,
  ]
  const users = people.map(
    ({ uid, base, password }) => [base === 'users' ? uid : `${base}/${uid}`, { dn: dnOf(uid, base), password }] as const,
  )
  return { ldif: `${entries.join('\n\n')}\n`, users: Object.fromEntries(users) }
}

/** A password as slapd stores it. */
export function ssha(password: string): string {
  const salt = randomBytes(8)
  return `{SSHA}${Buffer.concat([createHash('sha1').update(password).update(salt).digest(), salt]).toString('base64')}`
}
