//! Where C begins: libraries, the functions that they call, and those of theirs that are called. `include/mailboat-plugin.h`
//! is the contract; who breaks it breaks this process and no other.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use plugins::{Line, Stage};
use server_config::Config;
use server_log::{Category, Log};

const VERSION: u32 = 1;
const PP_DONE: c_int = 0;
const PP_CLOSE: c_int = 1;
/// Bytes of a response.
const RESPONSE_BYTES_MAX: usize = 32 * 1024;
/// Bytes of a line in the log.
const LOG_BYTES_MAX: usize = 2000;

/// A line of `plugins.cfg` as `pblock`.
pub struct Block(Vec<(CString, CString)>);

/// The function table, field by field as in the header.
#[repr(C)]
struct Server {
    version: u32,
    realloc: extern "C" fn(*mut c_void, usize) -> *mut c_void,
    get_ini: extern "C" fn(*const c_char, *const c_char) -> *const c_char,
    findval: extern "C" fn(*const c_char, *const Block) -> *const c_char,
    log: extern "C" fn(*const c_char),
    mutex_new: extern "C" fn() -> *mut PluginMutex,
    mutex_lock: extern "C" fn(*const PluginMutex),
    mutex_unlock: extern "C" fn(*const PluginMutex),
    mutex_free: extern "C" fn(*mut PluginMutex),
    defer_line: extern "C" fn(*const Level, *const c_char, *mut *mut c_char) -> c_int,
    get_property: extern "C" fn(*const Level, *const c_char, *const c_char) -> *const c_char,
    get_message_file: extern "C" fn(*const Shown) -> *const c_char,
    get_control: extern "C" fn(*const Shown, *const c_char) -> *const c_char,
    add_control: extern "C" fn(*mut Shown, *const c_char, *const c_char, c_int) -> c_int,
    remove_control: extern "C" fn(*mut Shown, *const c_char) -> c_int,
    add_recipient: extern "C" fn(*mut Shown, *const c_char) -> c_int,
    remove_recipient: extern "C" fn(*mut Shown, *const c_char) -> c_int,
    first_recipient: extern "C" fn(*mut Shown) -> *const c_char,
    next_recipient: extern "C" fn(*mut Shown) -> *const c_char,
}

static SERVER: Server = Server {
    version: VERSION,
    realloc,
    get_ini,
    findval,
    log,
    mutex_new,
    mutex_lock,
    mutex_unlock,
    mutex_free,
    defer_line,
    get_property,
    get_message_file,
    get_control,
    add_control,
    remove_control,
    add_recipient,
    remove_recipient,
    first_recipient,
    next_recipient,
};

/// What the functions of everywhere know.
struct Site {
    config: Config,
    log: Log,
    /// What PPGetIni has given away.
    told: Mutex<HashMap<String, CString>>,
}

static SITE: OnceLock<Site> = OnceLock::new();

/// Before the first library is loaded.
pub fn serve_plugins(config: Config, log: Log) {
    let _ = SITE.set(Site { config, log, told: Mutex::default() });
}

/// A text of a plug-in; nothing for NULL.
fn text<'a>(given: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the header asks for NULL or a text that ends with NUL and stays for the call; no result of this outlives the
    // function of the table that asked.
    (!given.is_null()).then(|| unsafe { CStr::from_ptr(given) })
}

// --- everywhere ---

extern "C" fn realloc(memory: *mut c_void, bytes: usize) -> *mut c_void {
    if bytes == 0 {
        // SAFETY: memory of this function or of malloc, or NULL.
        unsafe { libc::free(memory) };
        return ptr::null_mut();
    }
    // SAFETY: as above.
    unsafe { libc::realloc(memory, bytes) }
}

extern "C" fn get_ini(name: *const c_char, otherwise: *const c_char) -> *const c_char {
    let (Some(site), Some(name)) = (SITE.get(), text(name).and_then(|name| name.to_str().ok())) else {
        return otherwise;
    };
    let name = server_config::config::canonical(name);
    let Some(value) = site.config.text(&name).and_then(|value| CString::new(value).ok()) else {
        return otherwise;
    };
    let mut told = site.told.lock().unwrap_or_else(PoisonError::into_inner);
    told.entry(name).or_insert(value).as_ptr() // never taken out: it stays where it is
}

extern "C" fn findval(name: *const c_char, block: *const Block) -> *const c_char {
    // SAFETY: blocks are made by `block` below and live for good.
    let (Some(name), Some(block)) = (text(name), unsafe { block.as_ref() }) else { return ptr::null() };
    let found = block.0.iter().find(|(key, _)| key.as_c_str() == name);
    found.map_or(ptr::null(), |(_, value)| value.as_ptr())
}

extern "C" fn log(line: *const c_char) {
    if let (Some(site), Some(line)) = (SITE.get(), text(line)) {
        let line: String = line.to_string_lossy().chars().take(LOG_BYTES_MAX).collect();
        site.log.notice(Category::General, format_args!("{line}")); // the log escapes it
    }
}

/// `PPMutex`: it may be unlocked by another thread than its holder.
struct PluginMutex {
    held: Mutex<bool>,
    freed: Condvar,
}

extern "C" fn mutex_new() -> *mut PluginMutex {
    Box::into_raw(Box::new(PluginMutex { held: Mutex::new(false), freed: Condvar::new() }))
}

extern "C" fn mutex_lock(mutex: *const PluginMutex) {
    // SAFETY: of `mutex_new`, and not freed yet; only shared references to it are made.
    let Some(mutex) = (unsafe { mutex.as_ref() }) else { return };
    let held = mutex.held.lock().unwrap_or_else(PoisonError::into_inner);
    let mut held = mutex.freed.wait_while(held, |held| *held).unwrap_or_else(PoisonError::into_inner);
    *held = true;
}

extern "C" fn mutex_unlock(mutex: *const PluginMutex) {
    // SAFETY: as above.
    let Some(mutex) = (unsafe { mutex.as_ref() }) else { return };
    *mutex.held.lock().unwrap_or_else(PoisonError::into_inner) = false;
    mutex.freed.notify_one();
}

extern "C" fn mutex_free(mutex: *mut PluginMutex) {
    if !mutex.is_null() {
        // SAFETY: of `mutex_new`, and given up by its owner.
        drop(unsafe { Box::from_raw(mutex) });
    }
}

// --- libraries ---

/// A loaded library; it stays for good.
struct Library(*mut c_void, String);

impl Library {
    fn open(path: &Path) -> Result<Library, String> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let c_path = CString::new(path.as_os_str().as_bytes()).map_err(|_| "a NUL in a path".to_owned())?;
        // SAFETY: a text; what the library does when it is loaded is its own affair, as is all it does.
        let handle = unsafe { libc::dlopen(c_path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            // SAFETY: the text of the last failure in this thread, or NULL; it is copied at once.
            let why = text(unsafe { libc::dlerror() }).map(|why| why.to_string_lossy().into_owned());
            return Err(why.unwrap_or_else(|| format!("{} cannot be loaded", path.display())));
        }
        let library = Library(handle, name);
        let set = library.must("PPModule_SetServer")?;
        // SAFETY: the header defines it so.
        let set: extern "C" fn(*const Server) -> c_int = unsafe { std::mem::transmute(set) };
        match set(&raw const SERVER) {
            0 => Ok(library),
            _ => Err(format!("{}: made for another version of mailboat-plugin.h", path.display())),
        }
    }

    fn find(&self, name: &str) -> Option<*mut c_void> {
        let name = CString::new(name).ok()?;
        // SAFETY: a handle that is never closed, and a text.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    }

    fn must(&self, name: &str) -> Result<*mut c_void, String> {
        self.find(name).ok_or_else(|| format!("{} has no function {name}", self.1))
    }

    fn init(&self, name: &str, function: *mut c_void, block: &'static Block) -> Result<(), String> {
        // SAFETY: the header says so of functions of this place.
        let init: extern "C" fn(*const Block) -> c_int = unsafe { std::mem::transmute(function) };
        match init(block) {
            0 => Ok(()),
            other => Err(format!("{}: {name} returned {other}", self.1)),
        }
    }
}

fn block(line: &Line) -> &'static Block {
    let pair = |(name, value): &(String, String)| {
        Some((CString::new(name.as_str()).ok()?, CString::new(value.as_str()).ok()?))
    };
    Box::leak(Box::new(Block(line.settings.iter().filter_map(pair).collect())))
}

// --- PreSMTPAccept ---

type New = extern "C" fn(*const Level) -> *mut c_void;
type Process = extern "C" fn(*mut c_void, *const c_char, *mut *mut c_char) -> c_int;
type Delete = extern "C" fn(*mut c_void);

/// A protocol plug-in.
pub struct ProtocolModule {
    new: New,
    process: Process,
    delete: Delete,
}

impl ProtocolModule {
    /// Loads a library and has it begin.
    ///
    /// # Errors
    /// One line.
    pub fn load(path: &Path, line: &Line) -> Result<ProtocolModule, String> {
        let library = Library::open(path)?;
        let (new, process, delete) = (
            library.must("PPModule_NewProtPlug")?,
            library.must("ProtPlug_ProcessLine")?,
            library.must("ProtPlug_Delete")?,
        );
        if let Some(init) = library.find("PPModule_Init") {
            library.init("PPModule_Init", init, block(line))?;
        }
        // SAFETY: the header says so of functions of these names.
        unsafe {
            Ok(ProtocolModule {
                new: std::mem::transmute::<*mut c_void, New>(new),
                process: std::mem::transmute::<*mut c_void, Process>(process),
                delete: std::mem::transmute::<*mut c_void, Delete>(delete),
            })
        }
    }
}

/// `PPSession`: what a plug-in's object knows its session by. It stays where it is while the object lives.
pub struct Level {
    at: usize,
    stack: *const Inner,
    object: Cell<*mut c_void>,
}

/// Answers a line below the stack: the reply, and whether it closes.
pub type Below<'a> = &'a mut AnswerBelow<'a>;
type AnswerBelow<'a> = dyn FnMut(&[u8]) -> Option<(Vec<u8>, bool)> + 'a;

struct Inner {
    modules: &'static [ProtocolModule],
    /// Each where it is: plug-ins have its address.
    #[allow(clippy::vec_box)]
    levels: RefCell<Vec<Box<Level>>>,
    /// While a line is under way.
    below: Cell<Option<*mut AnswerBelow<'static>>>,
    properties: RefCell<Vec<(String, CString)>>,
    /// Former values, which plug-ins may look at still.
    former: RefCell<Vec<CString>>,
}

/// The objects of one session, top first.
pub struct Stack(Box<Inner>);

// SAFETY: a stack is behind a mutex, and used by one thread at a time; the header asks plug-ins for objects that bear it.
unsafe impl Send for Stack {}

/// What a stack says to a line.
pub enum Response {
    Done(Vec<u8>),
    Close(Vec<u8>),
    /// Nothing that could be said.
    None,
}

impl Stack {
    /// An object of each; nothing when one will not.
    pub fn new(modules: &'static [ProtocolModule], properties: Vec<(String, CString)>) -> Option<Stack> {
        let stack = Stack(Box::new(Inner {
            modules,
            levels: RefCell::default(),
            below: Cell::new(None),
            properties: RefCell::new(properties),
            former: RefCell::default(),
        }));
        for (at, module) in modules.iter().enumerate() {
            let level =
                Box::new(Level { at, stack: &raw const *stack.0, object: Cell::new(ptr::null_mut()) });
            level.object.set((module.new)(&raw const *level));
            let made = !level.object.get().is_null();
            if made {
                stack.0.levels.borrow_mut().push(level);
            } else {
                return None; // those that were made go
            }
        }
        Some(stack)
    }

    pub fn set_properties(&mut self, new: Vec<(String, CString)>) {
        let mut old = self.0.properties.borrow_mut();
        if *old != new {
            let values = std::mem::replace(&mut *old, new).into_iter().map(|(_, value)| value);
            self.0.former.borrow_mut().extend(values);
        }
    }

    /// Gives a line to the top.
    pub fn process(&mut self, line: &CStr, below: Below<'_>) -> Response {
        let below: *mut AnswerBelow<'_> = below;
        // SAFETY: only the lifetime changes; the pointer is taken out again before this function returns.
        self.0.below.set(Some(unsafe {
            std::mem::transmute::<*mut AnswerBelow<'_>, *mut AnswerBelow<'static>>(below)
        }));
        let (code, response) = self.0.run(0, line);
        self.0.below.set(None);
        let said = text(response).map(CStr::to_bytes).filter(|said| said.len() <= RESPONSE_BYTES_MAX);
        let said = said.map(<[u8]>::to_vec);
        realloc(response.cast(), 0);
        match (code, said) {
            (PP_DONE, Some(said)) => Response::Done(said),
            (PP_CLOSE, Some(said)) => Response::Close(said),
            _ => Response::None,
        }
    }
}

impl Inner {
    /// Gives a line to a level, or to the server below the last. The code, and memory of `realloc` or NULL.
    fn run(&self, at: usize, line: &CStr) -> (c_int, *mut c_char) {
        let object = self.levels.borrow().get(at).map(|level| level.object.get());
        let (Some(module), Some(object)) = (self.modules.get(at), object) else {
            return self.ask_below(line);
        };
        let mut response = ptr::null_mut();
        let code = (module.process)(object, line.as_ptr(), &raw mut response);
        (code, response)
    }

    fn ask_below(&self, line: &CStr) -> (c_int, *mut c_char) {
        let said = self.below.get().and_then(|below| {
            // SAFETY: it is there while `process` is under way, which is further up in this thread's calls; it is not used
            // meanwhile by anybody else, since the server below calls no plug-in.
            unsafe { (*below)(line.to_bytes()) }
        });
        match said {
            Some((reply, closes)) => (if closes { PP_CLOSE } else { PP_DONE }, copied(&reply)),
            None => (PP_CLOSE, copied(b"421 4.3.0 The session has ended")),
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for level in self.0.levels.borrow().iter() {
            if let Some(module) = self.0.modules.get(level.at) {
                (module.delete)(level.object.get());
            }
        }
    }
}

/// The text in memory of `realloc`, without NULs.
fn copied(said: &[u8]) -> *mut c_char {
    let said: Vec<u8> = said.iter().copied().filter(|byte| *byte != 0).collect();
    let memory: *mut u8 = realloc(ptr::null_mut(), said.len() + 1).cast();
    if !memory.is_null() {
        // SAFETY: there is room for the text and its NUL, and nobody else has it yet.
        unsafe {
            ptr::copy_nonoverlapping(said.as_ptr(), memory, said.len());
            memory.add(said.len()).write(0);
        }
    }
    memory.cast()
}

extern "C" fn defer_line(session: *const Level, line: *const c_char, response: *mut *mut c_char) -> c_int {
    // SAFETY: levels live as long as their objects, which call this.
    let (Some(level), Some(line)) = (unsafe { session.as_ref() }, text(line)) else { return -1 };
    // SAFETY: and their stacks live longer.
    let stack = unsafe { &*level.stack };
    let line = line.to_owned(); // the plug-in may change its own
    let (code, said) = stack.run(level.at + 1, &line);
    if response.is_null() {
        realloc(said.cast(), 0);
    } else {
        // SAFETY: the plug-in's own variable.
        unsafe { response.write(said) };
    }
    code
}

extern "C" fn get_property(
    session: *const Level,
    key: *const c_char,
    otherwise: *const c_char,
) -> *const c_char {
    // SAFETY: as in `defer_line`.
    let (Some(level), Some(key)) = (unsafe { session.as_ref() }, text(key)) else { return otherwise };
    // SAFETY: as in `defer_line`.
    let properties = unsafe { &*level.stack }.properties.borrow();
    let found = properties.iter().find(|(name, _)| name.as_bytes() == key.to_bytes());
    found.map_or(otherwise, |(_, value)| value.as_ptr())
}

// --- PostSMTPAccept ---

/// A plug-in that is shown messages.
pub struct MessageModule {
    pub stage: Stage,
    /// For the log and for smtpd's.
    pub name: String,
    block: &'static Block,
    function: Look,
}

type Look = extern "C" fn(*const Block, *mut Shown) -> c_int;

impl MessageModule {
    /// Loads a library and has it begin.
    ///
    /// # Errors
    /// One line.
    pub fn load(path: &Path, line: &Line) -> Result<MessageModule, String> {
        let library = Library::open(path)?;
        let block = block(line);
        let name = line.function.as_deref().unwrap_or_default();
        let function = library.must(name)?;
        if let Some(init) = &line.init {
            library.init(init, library.must(init)?, block)?;
        }
        // SAFETY: the header says so of what `funcs` names.
        let function = unsafe { std::mem::transmute::<*mut c_void, Look>(function) };
        Ok(MessageModule { stage: line.stage, name: format!("{}:{name}", library.1), block, function })
    }

    pub fn call(&self, shown: &mut Shown) -> i32 {
        (self.function)(self.block, shown)
    }
}

/// `PPMessage`: a message as a plug-in sees it. Texts that were given away stay where they are.
pub struct Shown {
    file: CString,
    control: Vec<(String, CString)>,
    recipients: Vec<CString>,
    next: usize,
    former: Vec<CString>,
    before: (Vec<(String, CString)>, Vec<CString>),
}

impl Shown {
    pub fn new(file: CString, control: Vec<(String, CString)>, recipients: Vec<CString>) -> Shown {
        Shown { file, control, recipients, next: 0, former: Vec::new(), before: Default::default() }
    }

    pub fn control(&self, key: &str) -> Option<&CStr> {
        self.control
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.as_c_str())
    }

    pub fn recipients(&self) -> impl Iterator<Item = &CStr> {
        self.recipients.iter().map(CString::as_c_str)
    }

    /// Before a plug-in is called.
    pub fn begin(&mut self) {
        self.before = (self.control.clone(), self.recipients.clone());
        self.former.clear();
        self.next = 0;
    }

    /// What it did to the envelope does not count.
    pub fn take_back(&mut self) {
        (self.control, self.recipients) = std::mem::take(&mut self.before);
    }

    fn remove_control(&mut self, key: &str) -> bool {
        let (gone, left) = std::mem::take(&mut self.control)
            .into_iter()
            .partition(|(name, _)| name.eq_ignore_ascii_case(key));
        self.control = left;
        let gone: Vec<(String, CString)> = gone;
        let found = !gone.is_empty();
        self.former.extend(gone.into_iter().map(|(_, value)| value));
        found
    }
}

/// Entries of control data, and recipients, that a plug-in may make of a message.
const ENTRIES_MAX: usize = 50_000;

fn shown<'a>(message: *const Shown) -> Option<&'a Shown> {
    // SAFETY: the message that `call` has lent to this plug-in, in whose call this is; the only reference meanwhile.
    unsafe { message.as_ref() }
}

fn shown_mut<'a>(message: *mut Shown) -> Option<&'a mut Shown> {
    // SAFETY: as above.
    unsafe { message.as_mut() }
}

extern "C" fn get_message_file(message: *const Shown) -> *const c_char {
    shown(message).map_or(ptr::null(), |message| message.file.as_ptr())
}

extern "C" fn get_control(message: *const Shown, key: *const c_char) -> *const c_char {
    let key = text(key).and_then(|key| key.to_str().ok());
    let value = shown(message).zip(key).and_then(|(message, key)| message.control(key));
    value.map_or(ptr::null(), CStr::as_ptr)
}

extern "C" fn add_control(
    message: *mut Shown,
    key: *const c_char,
    data: *const c_char,
    delete_original: c_int,
) -> c_int {
    let (Some(message), Some(key), Some(data)) = (shown_mut(message), text(key), text(data)) else {
        return -1;
    };
    let Ok(key) = key.to_str() else { return -1 };
    if key.is_empty() || key.contains('=') || message.control.len() >= ENTRIES_MAX {
        return -1;
    }
    let data = data.to_owned();
    if delete_original != 0 {
        message.remove_control(key);
    }
    message.control.push((key.to_owned(), data));
    0
}

extern "C" fn remove_control(message: *mut Shown, key: *const c_char) -> c_int {
    let (Some(message), Some(Ok(key))) = (shown_mut(message), text(key).map(CStr::to_str)) else { return -1 };
    if message.remove_control(key) { 0 } else { -1 }
}

extern "C" fn add_recipient(message: *mut Shown, address: *const c_char) -> c_int {
    let (Some(message), Some(address)) = (shown_mut(message), text(address)) else { return -1 };
    if address.is_empty() || address.to_str().is_err() || message.recipients.len() >= ENTRIES_MAX {
        return -1;
    }
    message.recipients.push(address.to_owned());
    0
}

extern "C" fn remove_recipient(message: *mut Shown, address: *const c_char) -> c_int {
    let (Some(message), Some(address)) = (shown_mut(message), text(address)) else { return -1 };
    let Some(at) = message.recipients.iter().position(|one| one.as_c_str() == address) else { return -1 };
    let gone = message.recipients.remove(at);
    message.former.push(gone);
    message.next -= usize::from(at < message.next);
    0
}

extern "C" fn first_recipient(message: *mut Shown) -> *const c_char {
    if let Some(message) = shown_mut(message) {
        message.next = 0;
    }
    next_recipient(message)
}

extern "C" fn next_recipient(message: *mut Shown) -> *const c_char {
    let Some(message) = shown_mut(message) else { return ptr::null() };
    let found = message.recipients.get(message.next);
    message.next += usize::from(found.is_some());
    found.map_or(ptr::null(), |one| one.as_ptr())
}
