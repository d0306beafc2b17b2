// Waits for `holds`, which may be async, and returns what it found.
export async function until(what, holds, seconds = 20) {
  for (const by = Date.now() + seconds * 1000; Date.now() < by; ) {
    const found = await holds();
    if (found) return found;
    await new Promise((resume) => setTimeout(resume, 20));
  }
  throw new Error(`after ${seconds} s still not so: ${what}`);
}
