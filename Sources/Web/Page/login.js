// Logging in, by the one-time link or by name and password.

import { $, put } from "./dom.js";
import { post } from "./post.js";

/** True when the address held a one-time link that let somebody in. */
export async function loginByLink() {
  const match = /^#login=([\w-]+)$/.exec(location.hash);
  if (!match) return false;
  // Out of the address bar and the history before anything else happens.
  history.replaceState(null, "", location.pathname);
  return login({ token: match[1] }, "Open the link again.");
}

async function login(proof, again) {
  const problem = $("#login-problem");
  put(problem, "");
  try {
    const response = await post("/api/login", proof);
    if (!response.ok) put(problem, await response.text());
    return response.ok;
  } catch {
    put(problem, `The server did not answer. ${again}`);
    return false;
  }
}

/** Calls `done` after each login from now on. */
export function listenForLogins(done) {
  $("#login-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    if (!await login({ user: form.user.value, password: form.password.value }, "Try again.")) return;
    form.reset();
    done();
  });
  addEventListener("hashchange", async () => { if (await loginByLink()) done(); });
}
