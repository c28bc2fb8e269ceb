import { DerError, expectTag, readChildren, readOid, readSequence, tags, type DerValue } from './der.ts'
import { decodeText } from './der-text.ts'

/** One attribute of a distinguished name, such as the common name. */
export interface NameAttribute {
  /** The attribute type in dotted form, such as `2.5.4.3`. */
  readonly oid: string
  /** The short name of the type, such as `CN`, or the dotted form if it has none. */
  readonly type: string
  /** The decoded text; `undefined` if the value is no text. */
  readonly value: string | undefined
  /** The encoded value as it stands in the certificate, in hexadecimal. */
  readonly der: string
}

/** A distinguished name as the certificate has it: relative names from the root down, each a set of attributes. */
export type DistinguishedName = readonly (readonly NameAttribute[])[]

// RFC 4514 section 3, RFC 4519, RFC 5280 appendix A.1, CA/Browser Forum EV.
const shortNames: ReadonlyMap<string, string> = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.4', 'SN'],
  ['2.5.4.5', 'serialNumber'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.9', 'STREET'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['2.5.4.12', 'title'],
  ['2.5.4.15', 'businessCategory'],
  ['2.5.4.17', 'postalCode'],
  ['2.5.4.42', 'GN'],
  ['2.5.4.46', 'dnQualifier'],
  ['2.5.4.65', 'pseudonym'],
  ['2.5.4.97', 'organizationIdentifier'],
  ['0.9.2342.19200300.100.1.1', 'UID'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
  ['1.2.840.113549.1.9.1', 'emailAddress'],
])

/** Reads a Name (RFC 5280 section 4.1.2.4). */
export function readName(value: DerValue | undefined): DistinguishedName {
  return readSequence(value).map((relative) => readChildren(expectTag(relative, tags.set)).map(readAttribute))
}

/** The decoded values of one attribute type, by its short name or dotted form, from the root down. */
export function nameValues(name: DistinguishedName, type: string): readonly string[] {
  return name.flatMap((relative) =>
    relative.flatMap((one) => ((one.type === type || one.oid === type) && one.value !== undefined ? [one.value] : [])),
  )
}

/**
 * Writes a name as RFC 4514 has it, most specific part first: `CN=orders,O=Example`. Different names have different
 * texts: what could be read as syntax is escaped, and values that are no text are written as `#` and their bytes. Two
 * names are the same where their texts are: types and decoded values in the same order, whole and exact, with no
 * folding of case or white space. That is stricter than RFC 5280 section 7.1, so that nothing is the same by accident.
 */
export function formatName(name: DistinguishedName): string {
  return name
    .toReversed()
    .map((relative) => relative.map(({ type, value, der }) => `${type}=${value === undefined ? `#${der}` : escape(value)}`).join('+'))
    .join(',')
}

function escape(value: string): string {
  return value
    .replaceAll(/[\\"+,;<>=]/g, String.raw`\$&`)
    .replaceAll(/\p{Cc}/gu, (character) =>
      Buffer.from(character)
        .toString('hex')
        .replaceAll(/../g, String.raw`\$&`),
    )
    .replace(/^[ #]/, String.raw`\$&`)
    .replace(/ $/, String.raw`\ `)
}

function readAttribute(value: DerValue): NameAttribute {
  const [type, text, ...rest] = readSequence(value)
  const oid = readOid(type)
  if (text === undefined || rest.length > 0) throw new DerError('A name attribute is not a type and a value.')
  return { oid, type: shortNames.get(oid) ?? oid, value: decodeText(text), der: Buffer.from(text.bytes).toString('hex') }
}
