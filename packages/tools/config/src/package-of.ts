import { mistake } from './mistake.ts'

/** Loads a package that only policies with such a mechanism need. Throws `ERR_CONFIG_PACKAGE_MISSING`. */
export async function packageOf<T>(where: string, name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    const { code, message } = error as { readonly code?: unknown; readonly message?: unknown }
    // Something else that is missing, deeper down, is another fault.
    if (code === 'ERR_MODULE_NOT_FOUND' && String(message).includes(`'${name}'`))
      throw mistake('ERR_CONFIG_PACKAGE_MISSING', where, `needs a package that is not installed: npm install ${name}`)
    throw error
  }
}
