/** A key management service that says more than it should. */
export async function unwrap(): Promise<never> {
  throw Object.assign(new Error(`denied for the session ${process.env['TEST_SESSION']}`), {
    name: 'AccessDenied',
  });
}
