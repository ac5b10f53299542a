//! Readiness of a descriptor through the event loop that runs JavaScript: libuv's uv_poll, whose functions the host
//! exports. They are looked up by name, so that a host without them is an error and not a crash.

use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

const READABLE: c_int = 1;
const WRITABLE: c_int = 2;
const UV_POLL: c_int = 8; // uv_handle_type, unchanged in libuv 1

type Handle = *mut c_void;

/// The functions of libuv 1 that are used here. Its ABI is stable within a major version.
#[derive(Clone, Copy)]
struct Uv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    handle_set_data: unsafe extern "C" fn(Handle, *mut c_void),
    handle_get_data: unsafe extern "C" fn(Handle) -> *mut c_void,
    poll_init: unsafe extern "C" fn(*mut c_void, Handle, c_int) -> c_int,
    poll_start:
        unsafe extern "C" fn(Handle, c_int, unsafe extern "C" fn(Handle, c_int, c_int)) -> c_int,
    close: unsafe extern "C" fn(Handle, unsafe extern "C" fn(Handle)),
}

impl Uv {
    /// `None` if this host lacks one of them.
    fn get() -> Option<Self> {
        static UV: OnceLock<Option<Uv>> = OnceLock::new();
        *UV.get_or_init(Self::load)
    }

    fn load() -> Option<Self> {
        // SAFETY: the names are libuv's, and the types those of its header.
        unsafe {
            Some(Self {
                handle_size: symbol(c"uv_handle_size")?,
                handle_set_data: symbol(c"uv_handle_set_data")?,
                handle_get_data: symbol(c"uv_handle_get_data")?,
                poll_init: symbol(c"uv_poll_init")?,
                poll_start: symbol(c"uv_poll_start")?,
                close: symbol(c"uv_close")?,
            })
        }
    }
}

/// SAFETY: `T` must be the type of a pointer to the function of that name.
unsafe fn symbol<T: Copy>(name: &CStr) -> Option<T> {
    assert_eq!(size_of::<T>(), size_of::<*mut c_void>());
    // SAFETY: `name` ends with 0.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: a pointer of the same size; the caller vouches for its type.
    (!found.is_null()).then(|| unsafe { std::mem::transmute_copy(&found) })
}

/// What happened: `(readable, writable)`.
pub type OnReady = Box<dyn FnMut(bool, bool)>;

struct Watched {
    on_ready: Option<OnReady>, // None while it runs, and once it is closed
    is_closed: bool,
    memory: Vec<u64>, // the handle, whose size only the host knows
}

/// Watches a descriptor until it is closed.
pub struct Watch {
    uv: Uv,
    handle: Handle,
    watched: *mut Watched,
}

impl Watch {
    /// SAFETY: `uv_loop` is the loop of this thread, and `descriptor` stays open until `close`.
    pub unsafe fn new(uv_loop: *mut c_void, descriptor: c_int, on_ready: OnReady) -> Option<Self> {
        let uv = Uv::get()?;
        // SAFETY: no argument but a constant.
        let bytes = unsafe { (uv.handle_size)(UV_POLL) };
        let memory = vec![0u64; bytes.div_ceil(size_of::<u64>())];
        let watched = Box::into_raw(Box::new(Watched {
            on_ready: Some(on_ready),
            is_closed: false,
            memory,
        }));
        // SAFETY: just made; the memory stays where it is until `freed`.
        let handle: Handle = unsafe { (*watched).memory.as_mut_ptr().cast() };
        // SAFETY: the handle has the size that libuv asked for.
        if unsafe { (uv.poll_init)(uv_loop, handle, descriptor) } != 0 {
            // SAFETY: libuv does not know the handle.
            drop(unsafe { Box::from_raw(watched) });
            return None;
        }
        // SAFETY: initialised above.
        unsafe { (uv.handle_set_data)(handle, watched.cast()) };
        let watch = Self {
            uv,
            handle,
            watched,
        };
        watch.watch(false);
        Some(watch)
    }

    /// Always for reading, and for writing if something waits.
    pub fn watch(&self, for_writing: bool) {
        let events = if for_writing {
            READABLE | WRITABLE
        } else {
            READABLE
        };
        // SAFETY: the handle is initialised and not closed: `close` takes the watch.
        unsafe { (self.uv.poll_start)(self.handle, events, on_event) };
    }

    pub fn close(self) {
        // SAFETY: initialised, and closed once, because this takes the watch. `freed` gets the memory.
        unsafe {
            (*self.watched).is_closed = true;
            // Now, and not when libuv is done: the environment that it refers to may be gone by then.
            (*self.watched).on_ready = None;
            (self.uv.close)(self.handle, freed);
        }
    }
}

unsafe extern "C" fn on_event(handle: Handle, status: c_int, events: c_int) {
    // A panic must not cross into C.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: libuv calls this with the handle of `new`, whose data is set and lives until `freed`.
        unsafe {
            let Some(uv) = Uv::get() else { return };
            let watched = (uv.handle_get_data)(handle).cast::<Watched>();
            let Some(mut on_ready) = (*watched).on_ready.take() else {
                return;
            };
            // An error of the descriptor is read from it, as an end that cannot be waited for.
            on_ready(status < 0 || events & READABLE != 0, events & WRITABLE != 0);
            if !(*watched).is_closed {
                (*watched).on_ready = Some(on_ready);
            }
        }
    }));
}

unsafe extern "C" fn freed(handle: Handle) {
    // SAFETY: libuv is done with the handle; its memory belongs to what the data points to.
    unsafe {
        let Some(uv) = Uv::get() else { return };
        drop(Box::from_raw(
            (uv.handle_get_data)(handle).cast::<Watched>(),
        ));
    }
}
