// The page begins here.
document.getElementById("view").textContent = "No view yet.";
