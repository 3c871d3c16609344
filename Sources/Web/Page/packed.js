// Files as they travel over WAMP.

/** A message to Farseed at home takes 1 MiB; base64 makes four characters of three bytes. */
export const partSize = 700_000;

/** Bytes as JSON carries them in WAMP: NUL and base64. */
export async function packed(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return `\0${btoa(text)}`;
}
