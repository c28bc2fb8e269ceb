import { secret } from '@portcullis/core'
import { describe, expect, it } from 'vitest'
import { scram, type Exchange } from './scram.ts'

// RFC 7677 section 3.
const nonce = 'rOprNGfwEbeRWgbNEkqO'
const joint = `${nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0`
const serverFirst = `r=${joint},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`
const serverFinal = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='

const answering = (...answers: readonly string[]) => {
  const sent: string[] = []
  const exchange: Exchange = async (message) => {
    sent.push(String(message))
    return Buffer.from(answers[sent.length - 1] ?? '')
  }
  return { sent, exchange }
}
const prove = (exchange: Exchange, username = 'user', password = 'pencil') => scram('sha256', username, secret(password), exchange, nonce)

describe('scram', () => {
  it('speaks as the example of RFC 7677', async () => {
    const { sent, exchange } = answering(serverFirst, serverFinal)
    await prove(exchange)
    expect(sent).toEqual([`n,,n=user,r=${nonce}`, `c=biws,r=${joint},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`])
  })

  it('writes names so that they cannot hold attributes', async () => {
    const { sent, exchange } = answering('')
    await expect(prove(exchange, 'a,r=x=y')).rejects.toMatchObject({ code: 'ERR_KAFKA_BROKER_UNPROVEN' })
    expect(sent).toEqual([`n,,n=a=2Cr=3Dx=3Dy,r=${nonce}`])
  })

  it.each([
    ['that has another nonce', serverFirst.replace(nonce, 'other')],
    ['that adds nothing to the nonce', serverFirst.replace(joint, nonce)],
    ['that asks for few iterations', serverFirst.replace('4096', '4095')],
    ['that asks for a year of them', serverFirst.replace('4096', '999999999')],
    ['whose iterations are no number', serverFirst.replace('4096', '4096e1')],
    ['without a salt', serverFirst.replace(/s=[^,]*/, 's=')],
    ['that says nothing', ''],
  ])('gives up on a broker %s, before its proof', async (_, first) => {
    const { sent, exchange } = answering(first, serverFinal)
    await expect(prove(exchange)).rejects.toMatchObject({ code: 'ERR_KAFKA_BROKER_UNPROVEN' })
    expect(sent).toHaveLength(1)
  })

  it.each([
    ['does not know the password', serverFinal.replace('6rri', '7rri')],
    ['proves nothing', ''],
    ['says less than a signature', 'v=6rri'],
    ['reports an error', 'e=other-error'],
  ])('gives up on a broker that %s', async (_, final) => {
    await expect(prove(answering(serverFirst, final).exchange)).rejects.toMatchObject({ code: 'ERR_KAFKA_BROKER_UNPROVEN' })
  })
})
