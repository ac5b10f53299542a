//! A JavaScript function that the event loop calls, as it calls its own: promises and next ticks run after it.

use std::ffi::c_void;
use std::ptr;

use napi::bindgen_prelude::{Error, Function, JsValue, Result, Status};
use napi::{Env, sys};

pub struct Callback {
    env: sys::napi_env,
    function: sys::napi_ref,
    receiver: sys::napi_ref,
    context: sys::napi_async_context,
}

impl Callback {
    pub fn new(env: &Env, function: &Function<'_, (), ()>) -> Result<Self> {
        let receiver = env.get_global()?;
        let name = env.create_string("pilotgate:udp")?;
        let raw = env.raw();
        let mut made = Self {
            env: raw,
            function: ptr::null_mut(),
            receiver: ptr::null_mut(),
            context: ptr::null_mut(),
        };
        // SAFETY: the values are alive in this scope, and of this environment.
        unsafe {
            check(sys::napi_create_reference(
                raw,
                function.raw(),
                1,
                &mut made.function,
            ))?;
            check(sys::napi_create_reference(
                raw,
                receiver.raw(),
                1,
                &mut made.receiver,
            ))?;
            check(sys::napi_async_init(
                raw,
                receiver.raw(),
                name.raw(),
                &mut made.context,
            ))?;
        }
        Ok(made)
    }

    /// An exception becomes an uncaught one of the process, as from any other callback.
    pub fn call(&self) {
        let env = self.env;
        let mut scope = ptr::null_mut();
        let (mut receiver, mut function, mut result, mut thrown) = (
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
        );
        let mut is_pending = false;
        // SAFETY: the environment lives until its clean-up hook has closed the port, which drops this; the references
        // are ours, and every value stays inside the scope.
        unsafe {
            if sys::napi_open_handle_scope(env, &mut scope) != sys::Status::napi_ok {
                return;
            }
            if sys::napi_get_reference_value(env, self.receiver, &mut receiver)
                == sys::Status::napi_ok
                && sys::napi_get_reference_value(env, self.function, &mut function)
                    == sys::Status::napi_ok
            {
                sys::napi_make_callback(
                    env,
                    self.context,
                    receiver,
                    function,
                    0,
                    ptr::null(),
                    &mut result,
                );
                sys::napi_is_exception_pending(env, &mut is_pending);
                if is_pending
                    && sys::napi_get_and_clear_last_exception(env, &mut thrown)
                        == sys::Status::napi_ok
                {
                    sys::napi_fatal_exception(env, thrown);
                }
            }
            sys::napi_close_handle_scope(env, scope);
        }
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        // SAFETY: each was made by `new` in this environment, and is given back once.
        unsafe {
            if !self.context.is_null() {
                sys::napi_async_destroy(self.env, self.context);
            }
            for reference in [self.function, self.receiver] {
                if !reference.is_null() {
                    sys::napi_delete_reference(self.env, reference);
                }
            }
        }
    }
}

/// Runs `act(data)` when the environment ends, unless it is removed before.
///
/// SAFETY: `data` must live until then.
pub unsafe fn at_exit(
    env: sys::napi_env,
    act: unsafe extern "C" fn(*mut c_void),
    data: *mut c_void,
) -> Result<()> {
    // SAFETY: see above.
    check(unsafe { sys::napi_add_env_cleanup_hook(env, Some(act), data) })
}

/// SAFETY: the same arguments as `at_exit` got.
pub unsafe fn not_at_exit(
    env: sys::napi_env,
    act: unsafe extern "C" fn(*mut c_void),
    data: *mut c_void,
) {
    // SAFETY: see above.
    unsafe { sys::napi_remove_env_cleanup_hook(env, Some(act), data) };
}

fn check(status: sys::napi_status) -> Result<()> {
    if status == sys::Status::napi_ok {
        return Ok(());
    }
    Err(Error::new(Status::from(status), "Node-API refused a call"))
}
