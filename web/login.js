// web/login.js -- the screen Login, and the question for a login in the middle of something.

import { session } from "./api.js";
import { entered, heading } from "./app.js";
import { openDialog } from "./dialogs.js";
import { button, el, icon, replace } from "./dom.js";

let asking = null;

// The fields; `user` is fixed if it is given. `done` is called after the login.
function loginForm(user, done) {
  const name = el("input", { id: "login-name", name: "username", autocomplete: "username",
    autocapitalize: "none", spellcheck: "false", required: true, maxlength: 255,
    value: user ?? "", readonly: user !== null });
  const password = el("input", { id: "login-password", name: "password", type: "password",
    autocomplete: "current-password", required: true, maxlength: 255, autofocus: user !== null });
  const error = el("p.error-text", { id: "login-error", role: "alert" });
  const complain = (input, text) => {
    for (const each of [name, password]) each.removeAttribute("aria-describedby");
    input.setAttribute("aria-describedby", error.id);
    input.after(error);
    replace(error, icon("error"), text);
    input.focus();
  };
  const submit = el("button.button.primary", { type: "submit" }, "Log in");

  return el("form.login", { novalidate: true, on: { submit: async (event) => {
    event.preventDefault();
    const missing = [name, password].find((input) => input.value.trim() === "");

    replace(error);
    if (missing) {
      complain(missing, `Give your ${missing === name ? "user name" : "password"}.`);
      return;
    }
    submit.disabled = true;
    try {
      await session.login(name.value.trim(), password.value);
      password.value = "";
      done();
    } catch (failed) {
      complain(password, failed.message);
      password.select();
    } finally {
      submit.disabled = false;
    }
  } } },
  el("label", { for: "login-name" }, "User name"), name,
  el("label", { for: "login-password" }, "Password"), password,
  error, submit);
}

export async function show(main) {
  const form = loginForm(null, entered);

  replace(main, el("div.login-box", heading("Log in"),
    el("p.muted", "Reports of this server: run them, watch them, take the results with you, and " +
      "delete them."), form));
  form.querySelector("input").focus();
}

// The session has ended in the middle of something: ask over the screen, which stays as it is.
export function ask() {
  if (asking) return;
  let forgetEnd = () => {};

  asking = openDialog("Your session has ended", (close) => {
    forgetEnd = session.onEnd((why) => { if (why === "back") close(); });
    return [el("p.muted", "Log in again to go on where you are. What you have typed is kept."),
      loginForm(session.user, () => close()),
    button("Log in as somebody else", () => session.logout(), { look: "quiet" })];
  }, { locked: true }).finally(() => {
    asking = null;
    forgetEnd();
    if (session.hasEnded) ask(); // browsers let a second Escape close what is locked
  });
}
