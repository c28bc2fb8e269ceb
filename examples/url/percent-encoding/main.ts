import { decode, encode } from '@portcullis/url'
import { show } from '../../show.ts'

const refusal = (text: string): unknown => {
  try {
    return decode(text)
  } catch (error) {
    return (error as { code: string }).code
  }
}
show('a text', encode('http://localhost:9090/a b?ä=1'), 'http%3A%2F%2Flocalhost%3A9090%2Fa%20b%3F%C3%A4%3D1')
show('and back', decode('http%3A%2F%2Flocalhost%3A9090%2Fa%20b%3F%C3%A4%3D1'), 'http://localhost:9090/a b?ä=1')
show('in another charset', encode('ä', 'iso-8859-1'), '%E4')
show('half an escape', refusal('a%2'), 'ERR_URL_MALFORMED')
show('bytes that are no text', refusal('%ff'), 'ERR_URL_UNDECODABLE')
